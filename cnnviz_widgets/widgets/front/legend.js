/** Which colour stands for which kind. */

import { make } from "./elements.js";

export class Legend {
  /** @param {(number: number | null) => void} pointed at an entry, or at none any more */
  constructor(pointed) {
    this.pointed = pointed;
    this.element = make("ul", { className: "cnnviz-legend-list" });
    this.element.setAttribute("aria-label", "Classes");
    this.element.addEventListener("pointerleave", () => pointed(null));
    /** @type {any} */ this.shown = null;
    /** @type {Map<number, HTMLElement>} */ this.lines = new Map();
  }

  /**
   * @param {{ number: number, name: string, count: number, color: number[] }[]} kinds
   * @param {number | null} own the number of the one that is marked
   * @param {string} meaning what the mark means
   */
  draw(kinds, own, meaning) {
    if (this.shown === kinds) return;
    this.shown = kinds;
    const total = kinds.reduce((sum, { count }) => sum + count, 0) || 1;
    const entry = ({ number, name, count, color }) => {
      const chip = make("span", { className: "cnnviz-chip" });
      chip.style.background = `rgb(${color.join(" ")})`;
      const share = make("span", { className: "cnnviz-share", textContent: percentOf(count / total) });
      const mark = number === own ? [make("span", { className: "cnnviz-own", textContent: meaning })] : [];
      const words = make("span", { textContent: name });
      const line = make("li", { title: `${name}: ${count} of ${total} places` }, chip, words, share, ...mark);
      line.addEventListener("pointerenter", () => this.pointed(number));
      this.lines.set(number, line);
      return line;
    };
    this.lines.clear();
    this.element.replaceChildren(...kinds.map(entry));
  }

  /** Make the entry of one kind stand out. @param {number | null} number */
  stress(number) {
    for (const [own, line] of this.lines) line.classList.toggle("cnnviz-here", own === number);
  }
}

const percentOf = (share) => (share < 0.01 ? "< 1 %" : `${Math.round(100 * share)} %`);
