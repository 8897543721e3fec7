/** Which colour stands for which kind. */

import { make } from "./elements.js";

export class Legend {
  /** @param {(number: number | null) => void} pointed at an entry, or at none any more */
  constructor(pointed) {
    this.pointed = pointed;
    this.element = make("ul", { className: "cnnviz-legend-list" });
    this.element.setAttribute("aria-label", "Classes");
    /** @type {any} */ this.shown = null;
  }

  /**
   * @param {{ number: number, name: string, count: number, color: number[] }[]} kinds
   * @param {number | null} own the number of the one that is marked
   * @param {string} words what the mark means
   */
  draw(kinds, own, words) {
    if (this.shown === kinds) return;
    this.shown = kinds;
    const total = kinds.reduce((sum, { count }) => sum + count, 0) || 1;
    const entry = ({ number, name, count, color }) => {
      const chip = make("span", { className: "cnnviz-chip" });
      chip.style.background = `rgb(${color.join(" ")})`;
      const share = make("span", { className: "cnnviz-share", textContent: percentOf(count / total) });
      const mark = number === own ? [make("span", { className: "cnnviz-own", textContent: words })] : [];
      const line = make("li", { title: `${name}: ${count} of ${total} places` }, chip, make("span", { textContent: name }), share, ...mark);
      line.addEventListener("pointerenter", () => this.pointed(number));
      line.addEventListener("pointerleave", () => this.pointed(null));
      return line;
    };
    this.element.replaceChildren(...kinds.map(entry));
  }
}

const percentOf = (share) => (share < 0.01 ? "< 1 %" : `${Math.round(100 * share)} %`);
