/** How the value climbed, step by step: a line for each picture. */

import { curves } from "./front/charts.js";
import { make, put } from "./front/elements.js";
import { bytesOf } from "./front/link.js";
import { say } from "./front/words.js";

export class StudioCurve {
  constructor() {
    this.name = make("div", { className: "cnnviz-curve-name", textContent: "Value, in each step's view" });
    this.name.title = "What is climbed: a class's score before the softmax, a channel's mean, a neuron's activation. "
      + "Each step sees the picture a little shifted and turned, so the line trembles.";
    this.hi = make("span", { className: "cnnviz-curve-hi" });
    this.lo = make("span", { className: "cnnviz-curve-lo" });
    this.plot = make("div", { className: "cnnviz-curve-plot" });
    this.plot.setAttribute("role", "img");
    this.from = make("span", { textContent: "1" });
    this.to = make("span", {});
    const middle = make("span", { textContent: "step" });
    const below = make("div", { className: "cnnviz-curve-steps" }, this.from, middle, this.to);
    this.element = make("div", { className: "cnnviz-curve" }, this.name, this.hi, this.lo, this.plot, below);
  }

  /**
   * @param {any} curve {} for none, the best one first
   * @param {number} total how many steps there will be; 0: those that there are
   * @param {boolean} ranked whether the first line stands out
   */
  draw(curve, total, ranked) {
    const none = !curve?.steps;
    this.element.hidden = none;
    this.element.classList.toggle("cnnviz-alike", !ranked);
    if (none || (curve === this.drawn && total === this.total)) return;
    [this.drawn, this.total] = [curve, total];
    const bytes = bytesOf(curve.values);
    const values = new Float32Array(bytes.slice().buffer);
    const count = values.length / curve.rows;
    const rows = Array.from({ length: curve.rows }, (_, i) => values.subarray(i * count, (i + 1) * count));
    const [lo, hi] = [Math.min(...values), Math.max(...values)];
    const across = Math.max(curve.steps, total);
    this.plot.replaceChildren(curves(rows.reverse(), curve.each, across - 1, lo, hi));
    put(this.hi, say(hi, 3));
    put(this.lo, say(lo, 3));
    put(this.to, across.toLocaleString("en"));
    this.plot.setAttribute("aria-label", `The value over ${curve.steps} steps, between ${say(lo, 3)} and ${say(hi, 3)}`);
  }
}
