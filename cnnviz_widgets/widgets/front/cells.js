/** Small grids of numbers on their colours: patches, kernels, products. */

import { indexOf } from "./colours.js";
import { make } from "./elements.js";
import { inkOn } from "./paint.js";
import { say } from "./words.js";

const READABLE = 5; // Larger grids than 5 x 5 are coloured only.
const SIDE = 104; // CSS pixels of the longer side of those.

/** Draws grids of one kind, all with the same scale. */
export class Cells {
  /**
   * @param {{ name: string, scale: import("./colours.js").Scale, table: Uint8Array }} kind
   * @param {boolean[]} inside row by row: false where a cell is padding, and hatched
   */
  constructor({ name, scale, table }, width, height, inside) {
    Object.assign(this, { name, scale, table, width, height, inside });
  }

  get readable() {
    return Math.max(this.width, this.height) <= READABLE;
  }

  /** @param {Float32Array} values row by row @returns {HTMLElement} */
  draw(values) {
    const grid = this.readable ? this.numbers(values) : this.picture(values);
    grid.setAttribute("aria-label", this.name);
    return grid;
  }

  numbers(values) {
    const { width, height } = this;
    const row = (y) => make("tr", {}, ...Array.from({ length: width }, (_, x) => this.cell(values, y * width + x)));
    const rows = Array.from({ length: height }, (_, y) => row(y));
    const grid = make("table", { className: "cnnviz-cells" }, make("tbody", {}, ...rows));
    grid.style.width = `calc(${width} * var(--cell, ${width > 3 ? 46 : 56}px))`;
    return grid;
  }

  cell(values, i) {
    const words = make("span", { textContent: brief(values[i], this.width > 3 ? 2 : 3) }); // All digits: its title.
    const cell = make("td", { title: this.inside[i] ? String(values[i]) : `padding: ${values[i]}` }, words);
    if (!this.inside[i]) cell.className = "cnnviz-padding";
    else {
      const color = this.color(values[i]);
      cell.style.background = `rgb(${color.join(" ")})`;
      cell.style.color = inkOn(color);
    }
    return cell;
  }

  picture(values) {
    const { width, height } = this;
    const each = Math.max(2, Math.floor((SIDE * devicePixelRatio) / Math.max(width, height)));
    const canvas = make("canvas", { width: width * each, height: height * each, className: "cnnviz-coloured" });
    canvas.style.width = `${canvas.width / devicePixelRatio}px`;
    canvas.setAttribute("role", "img");
    const pen = canvas.getContext("2d");
    values.forEach((value, i) => {
      const [x, y] = [(i % width) * each, Math.floor(i / width) * each];
      pen.fillStyle = this.inside[i] ? `rgb(${this.color(value).join(" ")})` : "#808080";
      pen.fillRect(x, y, each, each);
      if (!this.inside[i]) hatch(pen, x, y, each);
    });
    return canvas;
  }

  /** What the colours mean. */
  legend() {
    const { lo, hi } = this.scale;
    const stops = Array.from({ length: 17 }, (_, i) => `rgb(${this.entry(Math.min(255, 16 * i)).join(" ")})`);
    const ramp = make("span", { className: "cnnviz-ramp-across" });
    ramp.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
    const end = (value) => make("span", { textContent: say(value, 3) });
    const name = make("span", { textContent: this.name });
    return make("span", { className: "cnnviz-legend" }, name, end(lo), ramp, end(hi));
  }

  color(value) {
    return this.entry(indexOf(value, this.scale.lo, this.scale.hi, this.scale.signed));
  }

  entry(index) {
    return [...this.table.subarray(4 * index, 4 * index + 3)];
  }
}

/** A number in a cell: a digit less where it would not fit. */
function brief(value, digits) {
  const words = say(value, digits);
  return words.length > 7 ? say(value, digits - 1) : words;
}

function hatch(pen, x, y, side) {
  pen.save();
  pen.beginPath();
  pen.rect(x, y, side, side);
  pen.clip();
  pen.strokeStyle = "#c0c0c0";
  pen.beginPath();
  for (let at = -side; at < side; at += Math.max(3, side / 3)) {
    pen.moveTo(x + at, y + side);
    pen.lineTo(x + at + side, y);
  }
  pen.stroke();
  pen.restore();
}
