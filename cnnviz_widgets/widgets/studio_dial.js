/** A number as a slider, over decades where it needs that; it may be moved while what it changes is at work. */

import { make, put } from "./front/elements.js";
import { say } from "./front/words.js";

const OFTEN = 80; // Milliseconds between two messages while it is dragged.
const REST = 500; // Milliseconds without a move after which the kernel's word counts again.

export class Dial {
  /** @param {string} name @param {(value: number) => void} moved called with the newest value, not too often */
  constructor(name, moved) {
    this.moved = moved;
    this.last = 0; // When it was moved last,
    this.sent = 0; // and when that was said.
    this.timer = this.resting = 0;
    this.input = make("input", { type: "range" });
    this.output = make("output", {});
    this.label = make("span", { textContent: name });
    this.element = make("label", { className: "cnnviz-field cnnviz-dial" }, this.label, this.input, this.output);
    this.input.addEventListener("input", () => this.move());
  }

  close() {
    clearTimeout(this.timer);
    clearTimeout(this.resting);
  }

  /** @param {{ name: string, value: number, low: number, high: number, log: boolean, whole: boolean }} said */
  draw(said) {
    const first = !this.said;
    this.said = said;
    if (first) {
      const [min, max] = said.log ? [Math.log10(said.low), Math.log10(said.high)] : [said.low, said.high];
      Object.assign(this.input, { min: String(min), max: String(max), step: String(stepOf(said)) });
    }
    clearTimeout(this.resting);
    const left = REST - (performance.now() - this.last);
    // Under the hand it stays where the hand is: what the kernel says may be older.
    if (!first && left > 0) this.resting = setTimeout(() => this.draw(said), left);
    else this.show(said.value);
  }

  show(value) {
    this.value = value;
    const { log, low } = this.said;
    const place = String(log ? Math.log10(Math.max(value, low)) : value);
    if (this.input.value !== place) this.input.value = place;
    this.tell();
  }

  move() {
    const { log, whole } = this.said;
    const place = this.input.valueAsNumber;
    this.value = log ? Number((10 ** place).toPrecision(2)) : whole ? Math.round(place) : Number(place.toPrecision(4));
    this.last = performance.now();
    this.tell();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(), Math.max(0, OFTEN - (this.last - this.sent)));
  }

  tell() {
    put(this.output, say(this.value, 3));
    this.input.setAttribute("aria-valuetext", say(this.value, 3));
  }

  send() {
    this.sent = performance.now();
    this.moved(this.value);
  }
}

function stepOf({ low, high, log, whole }) {
  if (whole) return 1;
  const span = high - low;
  return log ? 0.05 : span > 12 ? 1 : span > 2 ? 0.05 : 0.01;
}
