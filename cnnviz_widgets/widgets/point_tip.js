/** What stands beside the point that is pointed at: its thumbnail, its name, and what more is known of it. */

import { make } from "./front/elements.js";

const LARGEST_PICTURE = 128; // The longer side of the picture, in CSS pixels.
const AWAY = 14;

export class PointTip {
  constructor() {
    this.picture = make("canvas", { className: "cnnviz-points-picture" });
    this.words = make("div", {});
    this.element = make("div", { className: "cnnviz-points-tip", hidden: true }, this.picture, this.words);
    this.element.setAttribute("aria-hidden", "true"); // The read-out says the same.
    this.text = "";
  }

  hide() {
    this.element.hidden = true;
    this.text = "";
  }

  /**
   * @param {ImageBitmap | null | undefined} picture undefined: it comes, and its place is kept
   * @param {[string, string][]} words pairs of a name and a value; a name "" is that of the point
   * @param {{ x: number, y: number, width: number, height: number }} place of the point, and the size of the view
   */
  show(picture, words, { x, y, width, height }, density) {
    const { element } = this;
    element.hidden = false;
    this.paint(picture, density);
    const text = JSON.stringify(words);
    if (text !== this.text) {
      this.text = text;
      const line = ([name, value]) =>
        name
          ? make("div", {}, make("i", { textContent: `${name} ` }), make("b", { textContent: value }))
          : make("div", { className: "cnnviz-points-title", textContent: value });
      this.words.replaceChildren(...words.map(line));
    }
    const [wide, high] = [element.offsetWidth, element.offsetHeight];
    const left = x + AWAY + wide <= width ? x + AWAY : x - AWAY - wide;
    const upper = Math.min(Math.max(0, y - high / 2), Math.max(0, height - high));
    element.style.transform = `translate(${Math.round(Math.max(0, left))}px, ${Math.round(upper)}px)`;
  }

  paint(picture, density) {
    const canvas = this.picture;
    canvas.hidden = picture === null;
    if (picture === null) return;
    if (!picture) {
      canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
      if (!canvas.style.width) Object.assign(canvas.style, { width: "96px", height: "96px" });
      return;
    }
    // Few pixels are shown large, and sharp.
    const longest = Math.max(picture.width, picture.height);
    const times = longest > LARGEST_PICTURE ? LARGEST_PICTURE / longest : Math.max(1, Math.floor(LARGEST_PICTURE / longest));
    const [wide, high] = [Math.round(picture.width * times), Math.round(picture.height * times)];
    [canvas.width, canvas.height] = [Math.round(wide * density), Math.round(high * density)];
    Object.assign(canvas.style, { width: `${wide}px`, height: `${high}px` });
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = times * density < 2;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  }
}
