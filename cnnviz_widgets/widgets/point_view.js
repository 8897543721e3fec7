/** Which part of the plane is seen: from the points' units to CSS pixels and back. y goes up in the plane. */

import { clamp } from "./front/elements.js";

const MARGIN = 0.06; // Of the view, free around what is fitted into it.
const IN = 20_000; // How many times closer than everything, ...
const OUT = 0.25; // ... and how far away one can go.

export class PointView {
  constructor() {
    Object.assign(this, { x: 0, y: 0, scale: 1, width: 1, height: 1 });
    this.whole = 1; // The scale at which everything is seen.
  }

  resize(width, height) {
    Object.assign(this, { width, height });
  }

  /** How many times closer one is than when everything is seen. */
  get zoom() {
    return this.scale / this.whole;
  }

  right(x) {
    return this.width / 2 + (x - this.x) * this.scale;
  }

  under(y) {
    return this.height / 2 - (y - this.y) * this.scale;
  }

  /** The place in the plane at a place of the view. */
  at(right, under) {
    return { x: this.x + (right - this.width / 2) / this.scale, y: this.y - (under - this.height / 2) / this.scale };
  }

  /** What is seen of the plane, and so many pixels around it. */
  sight(more = 0) {
    const [a, b] = [this.at(-more, this.height + more), this.at(this.width + more, -more)];
    return { x0: a.x, y0: a.y, x1: b.x, y1: b.y };
  }

  /** The view in which this is seen whole. @returns {{ x: number, y: number, scale: number }} */
  around({ x0, y0, x1, y1 }) {
    const room = 1 - 2 * MARGIN;
    const [wide, high] = [x1 - x0, y1 - y0];
    const scale = Math.min((this.width * room) / (wide || 1e-30), (this.height * room) / (high || 1e-30));
    // One place only: any scale will do.
    return { x: (x0 + x1) / 2, y: (y0 + y1) / 2, scale: wide || high ? scale : this.whole };
  }

  go({ x, y, scale }) {
    Object.assign(this, { x, y, scale });
  }

  /** A part of the way to another view. @returns {boolean} whether it is not there yet */
  glide(goal, share) {
    const far = Math.abs(Math.log(goal.scale / this.scale));
    const off = Math.hypot(goal.x - this.x, goal.y - this.y) * goal.scale;
    if (!(far < 5) || !(off < 50 * this.width) || (far < 0.002 && off < 0.5)) {
      this.go(goal);
      return false;
    }
    this.x += (goal.x - this.x) * share;
    this.y += (goal.y - this.y) * share;
    this.scale *= (goal.scale / this.scale) ** share;
    return true;
  }

  pan(right, under) {
    this.x -= right / this.scale;
    this.y += under / this.scale;
  }

  /** Come closer so many times; what is at this place of the view stays there. */
  come(times, right = this.width / 2, under = this.height / 2) {
    const before = this.at(right, under);
    this.scale = clamp(this.scale * times, this.whole * OUT, this.whole * IN);
    const after = this.at(right, under);
    this.x += before.x - after.x;
    this.y += before.y - after.y;
  }
}
