/** The line under a picture that tells what is at one place of it. */

import { make, put } from "./elements.js";

/** Its whole text is in `data-text`, as `name value · name value`; a screen reader hears it. */
export class Readout {
  constructor() {
    this.element = make("div", { className: "cnnviz-readout" });
    this.element.setAttribute("aria-live", "polite");
  }

  /** @param {[string, string][]} words pairs of a name and a value @param {string} hint said when there are none */
  show(words, hint) {
    const text = words.map((pair) => pair.join(" ")).join(" · ");
    const changed = this.element.dataset.text !== text;
    this.element.dataset.text = text;
    if (!words.length) put(this.element, hint);
    else if (changed) {
      const pair = ([name, value]) =>
        make("span", {}, make("i", { textContent: `${name} ` }), make("b", { textContent: value }));
      this.element.replaceChildren(...words.map(pair));
    }
  }
}
