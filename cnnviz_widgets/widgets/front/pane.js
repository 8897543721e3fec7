/** A canvas that fills its place on the page, sharp at the screen's resolution, and is drawn when it can be seen. */

import { Density } from "./density.js";
import { make } from "./elements.js";

export class Pane {
  /**
   * @param {() => void} changed it has to be drawn again: another size, another screen, in sight again
   * @param {...Element} overlays what lies over the canvas; hit by no mouse
   */
  constructor(changed, ...overlays) {
    this.changed = changed;
    this.canvas = make("canvas", { tabIndex: 0, className: "cnnviz-pixels" });
    const over = make("div", { className: "cnnviz-over" }, ...overlays);
    this.element = make("div", { className: "cnnviz-place" }, this.canvas, over);
    this.unseen = false;
    this.retry = 0;
    /** @type {any[]} what it was last drawn from */ this.drawn = [];
    this.resized = new ResizeObserver(changed);
    this.resized.observe(this.element);
    this.density = new Density(changed);
  }

  close() {
    clearTimeout(this.retry);
    this.resized.disconnect();
    this.density.close();
  }

  /**
   * Draw anew if something changed.
   * @param {any[]} from what it is drawn from
   * @param {(pen: CanvasRenderingContext2D, across: number, down: number, density: number) => void} draw
   */
  paint(from, draw) {
    const box = this.element.getBoundingClientRect();
    if (!box.width || !box.height) {
      // Out of sight. When it comes back the observer says so, except after a change of theme, which hides everything
      // for less than a frame: hence one more try.
      if (!this.unseen) this.retry = setTimeout(this.changed, 300);
      this.unseen = true;
      return;
    }
    this.unseen = false;
    const density = this.density.now();
    const across = Math.max(1, Math.round(box.width * density));
    const down = Math.max(1, Math.round(box.height * density));
    const now = [...from, across, down];
    if (now.length === this.drawn.length && now.every((value, i) => value === this.drawn[i])) return;
    this.drawn = now;
    const { canvas } = this;
    if (canvas.width !== across || canvas.height !== down) [canvas.width, canvas.height] = [across, down];
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, across, down);
    draw(pen, across, down, density);
  }

  /** Where on the canvas the mouse is, 0 to 1. @param {PointerEvent} event */
  spot(event) {
    const box = this.canvas.getBoundingClientRect();
    return { y: (event.clientY - box.top) / box.height, x: (event.clientX - box.left) / box.width };
  }
}

/** Draw a picture of few pixels so that it fills a canvas: sharp, and smoothed only where edges would be uneven. */
export function fillWith(pen, picture, across, down) {
  pen.imageSmoothingEnabled = across < 2 * picture.width && across !== picture.width;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(picture, 0, 0, across, down);
}
