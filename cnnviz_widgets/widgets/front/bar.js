/** The colour bar: which colour stands for which value. */

import { paintRamp } from "./colours.js";
import { clamp, make } from "./elements.js";
import { say } from "./words.js";

/** As high as what it stands beside; the numbers of both ends, and 0 where it lies between them. */
export class ColourBar {
  constructor() {
    this.ramp = make("canvas", { width: 1, height: 256, className: "cnnviz-ramp" });
    this.hi = make("span", { className: "cnnviz-hi" });
    this.zero = make("span", { className: "cnnviz-zero" });
    this.lo = make("span", { className: "cnnviz-lo" });
    this.what = make("span", { className: "cnnviz-what" });
    this.mark = make("span", { className: "cnnviz-mark", hidden: true });
    this.line = make("span", { className: "cnnviz-mark-line", hidden: true });
    const ticks = make("div", { className: "cnnviz-ticks" }, this.hi, this.zero, this.lo, this.what, this.mark);
    this.element = make("div", { className: "cnnviz-bar" }, this.ramp, ticks, this.line);
  }

  /**
   * @param {import("./colours.js").Scale} scale
   * @param {Uint8Array | null} table 256 colours RGBA; null for the greys of a colour attribution
   * @param {{ unit?: string, cut?: number, held?: boolean, what?: string, mark?: { at: number, words: string } }} how
   *   cut: magnitudes below it have no colour; held: locked; what: whose scale it is; mark: a value that stands out
   */
  draw(scale, table, { unit = "", cut = 0, held = false, what = "", mark } = {}) {
    const { lo, hi } = scale;
    paintRamp(this.ramp, scale, table, cut);
    const behind = unit && ` ${unit}`;
    this.hi.textContent = say(hi, 3) + behind;
    this.lo.textContent = hi === lo ? "" : say(lo, 3) + behind;
    this.zero.textContent = lo < 0 && hi > 0 ? "0" : "";
    this.zero.style.top = `${(100 * hi) / (hi - lo || 1)}%`;
    this.what.textContent = what;
    this.drawMark(scale, mark);
    this.element.title = held ? "The scale is locked" : "";
    this.element.classList.toggle("cnnviz-held", held);
  }

  /** A line across the colours, and words beside it that keep clear of those at the ends. */
  drawMark({ lo, hi }, mark) {
    this.mark.hidden = this.line.hidden = !mark;
    if (!mark) return;
    const place = clamp((hi - mark.at) / (hi - lo || 1), 0, 1);
    const beyond = mark.at > hi ? " ↑" : mark.at < lo ? " ↓" : "";
    this.mark.textContent = mark.words + beyond;
    this.mark.style.top = `clamp(1.3em, ${100 * place}% - 0.5em, 100% - 2.3em)`;
    this.line.style.top = `${100 * place}%`;
    if (Math.abs(place - hi / (hi - lo || 1)) < 0.07) this.zero.textContent = "";
  }
}
