/** The pictures of a FeatureStudio side by side, each with what it reaches under it. */

import { Density } from "./front/density.js";
import { make, put } from "./front/elements.js";
import { bytesOf } from "./front/link.js";
import { drawSharp } from "./front/paint.js";

const GAP = 8; // Between two pictures, in CSS pixels.
const LEAST = 160; // A picture is no narrower while others could go below it,
const [MOST, MOST_OF_MANY] = [384, 256]; // and no larger than that, where it would be but pixels.

export class StudioStage {
  /** @param {(number: number) => void} seen called with the number of a frame once it is on the screen */
  constructor(seen) {
    this.seen = seen;
    /** @type {any} the newest frame, and the one that is drawn */ this.frame = null;
    this.drawn = null;
    /** @type {ImageBitmap[]} */ this.pictures = [];
    this.busy = false;
    this.note = make("div", { className: "cnnviz-empty" });
    this.grid = make("div", { className: "cnnviz-grown" });
    this.element = make("div", { className: "cnnviz-stage" }, this.note, this.grid);
    this.resized = new ResizeObserver(() => this.lay());
    this.resized.observe(this.element);
    this.density = new Density(() => this.lay());
  }

  close() {
    this.resized.disconnect();
    this.density.close();
    this.frame = null;
    for (const picture of this.pictures) picture.close();
  }

  /** @param {any} frame {} for none @param {string} hint what stands there instead */
  draw(frame, hint) {
    const some = Boolean(frame?.pictures?.length);
    this.note.hidden = some;
    this.grid.hidden = !some;
    put(this.note, hint);
    if (!some || frame === this.frame) return;
    this.frame = frame;
    this.renew();
  }

  /** Decode the newest frame; what comes meanwhile waits, and of that only the newest is decoded. */
  async renew() {
    if (this.busy) return;
    this.busy = true;
    while (this.frame && this.frame !== this.drawn) {
      const frame = this.frame;
      const files = frame.pictures.map((data) => new Blob([bytesOf(data)], { type: frame.type }));
      const pictures = await Promise.all(files.map((file) => createImageBitmap(file)));
      for (const picture of this.pictures) picture.close();
      [this.pictures, this.drawn] = [pictures, frame];
      if (!this.frame) break; // Taken off the page meanwhile.
      this.lay();
      if (frame.number) this.seen(frame.number);
    }
    this.busy = false;
  }

  lay() {
    const { drawn, pictures } = this;
    const many = pictures.length === 3 || pictures.length > 4; // Then the curve goes below them.
    this.element.classList.toggle("cnnviz-many", many);
    const room = this.element.clientWidth;
    if (!drawn || !room || !pictures.length) return;
    this.density.now();
    const several = drawn.names.length > 1 && drawn.each > 1;
    const columns = several ? drawn.each : balanced(pictures.length, Math.floor((room + GAP) / (LEAST + GAP)));
    const side = Math.min(many ? MOST_OF_MANY : MOST, Math.floor((room - (columns - 1) * GAP) / columns));
    this.grid.style.gridTemplateColumns = `repeat(${columns}, ${side}px)`;
    while (this.grid.children.length > pictures.length) this.grid.lastElementChild.remove();
    while (this.grid.children.length < pictures.length) {
      const canvas = make("canvas", {});
      canvas.setAttribute("role", "img");
      const words = make("figcaption", {}, make("b", {}), make("span", {}));
      words.title = "While it grows: what the last step began with. When it is finished: what the network says to it as "
        + "a picture, in whole levels and through its own preprocessing.";
      this.grid.append(make("figure", {}, canvas, words));
    }
    pictures.forEach((picture, i) => {
      const [canvas, words] = this.grid.children[i].children;
      const name = drawn.names[Math.floor(i / drawn.each)];
      const zoom = side / Math.max(picture.width, picture.height);
      drawSharp(canvas, picture, picture.width * zoom, picture.height * zoom);
      put(words.firstElementChild, drawn.names.length > 1 ? name : "");
      put(words.lastElementChild, drawn.words[i]);
      canvas.setAttribute("aria-label", `${name}: ${drawn.words[i]}`);
    });
  }
}

/** How many columns, at most `most`, so that the rows are as full as they can be. */
function balanced(count, most) {
  const rows = Math.ceil(count / Math.max(1, most));
  return Math.ceil(count / rows);
}
