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
    const summary = make("summary", { textContent: "Show" });
    this.fold = make("details", { className: "cnnviz-help" }, summary, this.code);
    this.element = make("div", { className: "cnnviz-code" }, this.button, this.fold, this.said);
    this.button.addEventListener("click", () => this.copy());
  }

  /** @param {string} code */
  show(code) {
    this.element.hidden = !code;
    if (this.code.textContent !== code) this.say("");
    put(this.code, code);
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.code.textContent);
      this.say("copied");
    } catch {
      this.select(); // No clipboard here: an insecure page, or it is not allowed.
      this.say(document.execCommand("copy") ? "copied" : "selected: copy it with Ctrl+C");
    }
  }

  select() {
    this.fold.open = true;
    const range = document.createRange();
    range.selectNodeContents(this.code);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
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
