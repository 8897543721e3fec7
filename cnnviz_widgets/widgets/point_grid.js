/** Points sorted into the cells of a grid, so that those near a place are found without looking at all of them. */

import { clamp } from "./front/elements.js";
import { boundsOf } from "./point_polygon.js";

const EACH = 2; // Points in a cell, on average.

export class PointGrid {
  /** @param {Float32Array} places x and y of each point, NaN where it has no place */
  constructor(places) {
    this.places = places;
    const bounds = boundsOf(places);
    this.bounds = bounds ?? { x0: 0, y0: 0, x1: 0, y1: 0 };
    const { x0, y0, x1, y1 } = this.bounds;
    const side = Math.max(x1 - x0, y1 - y0) || 1;
    // As many cells as there are pairs of points, but no more along a side than there would be in a square.
    const along = clamp(Math.ceil(Math.sqrt(places.length / 2 / EACH)), 1, 1024);
    this.cell = side / along;
    this.across = Math.floor((x1 - x0) / this.cell) + 1;
    this.down = Math.floor((y1 - y0) / this.cell) + 1;
    this.sort();
  }

  sort() {
    const { places } = this;
    const counts = new Uint32Array(this.across * this.down + 1);
    const cells = new Int32Array(places.length / 2).fill(-1);
    for (let i = 0; i < cells.length; i++) {
      if (!(places[2 * i] === places[2 * i])) continue;
      cells[i] = this.row(places[2 * i + 1]) * this.across + this.column(places[2 * i]);
      counts[cells[i] + 1]++;
    }
    for (let cell = 1; cell < counts.length; cell++) counts[cell] += counts[cell - 1];
    this.starts = counts;
    this.items = new Uint32Array(counts[counts.length - 1]);
    const next = counts.slice();
    for (let i = 0; i < cells.length; i++) if (cells[i] >= 0) this.items[next[cells[i]]++] = i;
  }

  column(x) {
    return clamp(Math.floor((x - this.bounds.x0) / this.cell), 0, this.across - 1);
  }

  row(y) {
    return clamp(Math.floor((y - this.bounds.y0) / this.cell), 0, this.down - 1);
  }

  /**
   * The point nearest to a place, the one of the lower number where two are as near.
   * @param {number} reach no point farther away counts
   * @param {(number: number) => boolean} able whether a point counts at all
   * @returns {number} -1: there is none
   */
  nearest(x, y, reach, able) {
    const { places } = this;
    let best = -1;
    let least = reach * reach;
    this.within(x - reach, y - reach, x + reach, y + reach, (number) => {
      const dx = places[2 * number] - x;
      const dy = places[2 * number + 1] - y;
      const distance = dx * dx + dy * dy;
      if (distance > least || (distance === least && best >= 0 && number > best)) return true;
      if (able(number)) [best, least] = [number, distance];
      return true;
    });
    return best;
  }

  /**
   * Visit the points in a rectangle, cell by cell, until the visitor has enough.
   * @param {(number: number) => boolean} visit gives false to end it
   * @returns {boolean} whether all were visited
   */
  within(x0, y0, x1, y1, visit) {
    const { places, bounds } = this;
    if (x1 < bounds.x0 || x0 > bounds.x1 || y1 < bounds.y0 || y0 > bounds.y1) return true;
    const [left, right] = [this.column(x0), this.column(x1)];
    const [low, high] = [this.row(y0), this.row(y1)];
    for (let row = low; row <= high; row++) {
      const end = this.starts[row * this.across + right + 1];
      for (let at = this.starts[row * this.across + left]; at < end; at++) {
        const number = this.items[at];
        const x = places[2 * number];
        const y = places[2 * number + 1];
        if (x >= x0 && x <= x1 && y >= y0 && y <= y1 && !visit(number)) return false;
      }
    }
    return true;
  }
}
