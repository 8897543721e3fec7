/** The colour bar: which colour stands for which value. */

import { paintRamp } from "./colours.js";
import { make } from "./elements.js";
import { say } from "./words.js";

/** As high as what it stands beside; the numbers of both ends, and 0 where it lies between them. */
export class ColourBar {
  constructor() {
    this.ramp = make("canvas", { width: 1, height: 256, className: "cnnviz-ramp" });
    this.hi = make("span", { className: "cnnviz-hi" });
    this.zero = make("span", { className: "cnnviz-zero" });
    this.lo = make("span", { className: "cnnviz-lo" });
    this.what = make("span", { className: "cnnviz-what" });
    const ticks = make("div", { className: "cnnviz-ticks" }, this.hi, this.zero, this.lo, this.what);
    this.element = make("div", { className: "cnnviz-bar" }, this.ramp, ticks);
  }

  /**
   * @param {import("./colours.js").Scale} scale
   * @param {Uint8Array | null} table 256 colours RGBA; null for the greys of a colour attribution
   * @param {{ unit?: string, cut?: number, held?: boolean, what?: string }} how
   *   cut: magnitudes below it have no colour; held: locked; what: whose scale it is
   */
  draw(scale, table, { unit = "", cut = 0, held = false, what = "" } = {}) {
    const { lo, hi } = scale;
    paintRamp(this.ramp, scale, table, cut);
    const behind = unit && ` ${unit}`;
    this.hi.textContent = say(hi, 3) + behind;
    this.lo.textContent = hi === lo ? "" : say(lo, 3) + behind;
    this.zero.textContent = lo < 0 && hi > 0 ? "0" : "";
    this.zero.style.top = `${(100 * hi) / (hi - lo || 1)}%`;
    this.what.textContent = what;
    this.element.title = held ? "The scale is locked" : "";
    this.element.classList.toggle("cnnviz-held", held);
  }
}
