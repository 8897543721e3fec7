/** Code to read and to copy. */

import { make, put } from "./elements.js";

const SEEN = 2500; // Milliseconds for which "copied" is read.

/** A button that copies, and the code itself folded away under it. */
export class CodeBox {
  constructor() {
    this.timer = 0;
    this.button = make("button", { type: "button", className: "cnnviz-copy", textContent: "Copy as code" });
    this.button.title = "Copy the Python that rebuilds this view";
    this.said = make("span", { className: "cnnviz-said" });
    this.said.setAttribute("role", "status");
    this.code = make("pre", { tabIndex: 0 });
    this.code.setAttribute("aria-label", "Python that rebuilds this view");
    this.fold = make("button", { type: "button" });
    const line = make("div", {}, this.button, this.fold, this.said);
    this.element = make("div", { className: "cnnviz-code" }, line, this.code);
    this.button.addEventListener("click", () => this.copy());
    this.fold.addEventListener("click", () => this.open(this.code.hidden));
    this.open(false);
  }

  /** @param {string} code */
  show(code) {
    this.element.hidden = !code;
    if (this.code.textContent !== code) this.say("");
    put(this.code, code);
  }

  /** Show or hide the code itself. */
  open(on) {
    this.code.hidden = !on;
    this.fold.setAttribute("aria-expanded", String(on));
    put(this.fold, on ? "Hide" : "Show");
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.code.textContent);
      this.say("copied");
    } catch {
      this.copySelected(); // No clipboard here: an insecure page, or it is not allowed.
    }
  }

  copySelected() {
    const folded = this.code.hidden;
    this.open(true);
    const range = document.createRange();
    range.selectNodeContents(this.code);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    if (!document.execCommand("copy")) return this.say("selected: copy it with Ctrl+C");
    selection.removeAllRanges();
    this.open(!folded);
    this.say("copied");
  }

  say(words) {
    clearTimeout(this.timer);
    put(this.said, words);
    if (words) this.timer = setTimeout(() => put(this.said, ""), SEEN);
  }

  close() {
    clearTimeout(this.timer);
  }
}
