/** What lies between the points without being one: its place, its picture, and the points that it has lines to. */

import { bytesOf } from "./front/link.js";

const PICTURE_SIDE = 48; // CSS pixels, of the longer side.
const HALF = 9; // Of a diamond.

export class PointMarks {
  /** @param {() => void} changed a picture was decoded */
  constructor(changed) {
    this.changed = changed;
    this.list = [];
    /** @type {(ImageBitmap | null)[]} */ this.pictures = [];
  }

  close() {
    for (const picture of this.pictures) picture?.close();
    this.pictures = [];
    this.list = [];
  }

  /** @param {any[]} list as marks_message of point_messages.py makes it */
  async take(list) {
    this.close();
    this.list = list;
    const pictures = await Promise.all(
      list.map(({ thumbnail }) => {
        const bytes = thumbnail ? bytesOf(thumbnail) : [];
        return bytes.length ? createImageBitmap(new Blob([bytes])).catch(() => null) : null;
      }),
    );
    if (this.list !== list) return pictures.forEach((picture) => picture?.close());
    this.pictures = pictures;
    this.changed();
  }

  /** @param {import("./point_over.js").PointOver} over on which it is drawn */
  drawLines(over) {
    const { pen, view, style, state, look } = over;
    for (const mark of this.list) {
      const ends = mark.lines_to.filter((number) => state.able(number)).map((number) => state.shown(number));
      for (const [colour, width] of [[style.paper, 3.5], [style.ink, 1.25]]) {
        pen.beginPath();
        for (const { x, y } of ends) {
          pen.moveTo(view.right(mark.x), view.under(mark.y));
          pen.lineTo(view.right(x), view.under(y));
        }
        [pen.strokeStyle, pen.lineWidth] = [colour, width];
        pen.stroke();
      }
      for (const end of ends) over.ring(end, look.radius + 2.5, style.ink, 1.5);
    }
  }

  /** A diamond, which no point is, or the mark's picture. @param {import("./point_labels.js").Room} room */
  draw(over, room) {
    const { pen, view, style } = over;
    this.list.forEach((mark, i) => {
      const [x, y] = [view.right(mark.x), view.under(mark.y)];
      const picture = this.pictures[i];
      const { wide, high } = picture ? this.drawPicture(over, picture, x, y) : { wide: HALF, high: HALF };
      if (!picture) {
        pen.beginPath();
        for (const [right, under] of [[0, -HALF], [HALF, 0], [0, HALF], [-HALF, 0]]) pen.lineTo(x + right, y + under);
        pen.closePath();
        [pen.fillStyle, pen.strokeStyle, pen.lineWidth, pen.lineJoin] = [style.accent, style.paper, 2, "miter"];
        pen.fill();
        pen.stroke();
      }
      const below = mark.name ? 20 : 0;
      room.taken.push({ x0: x - wide, y0: y - high, x1: x + wide, y1: y + high + below });
      if (mark.name) over.write({ text: mark.name, x, y: y + high + 10, align: "center", strong: true });
    });
  }

  /** @param {ImageBitmap} picture @returns {{ wide: number, high: number }} half of its sides, with its frame */
  drawPicture({ pen, style }, picture, x, y) {
    const share = PICTURE_SIDE / Math.max(picture.width, picture.height) / 2;
    const [wide, high] = [picture.width * share, picture.height * share];
    pen.fillStyle = style.paper;
    pen.fillRect(x - wide - 4, y - high - 4, 2 * wide + 8, 2 * high + 8);
    pen.imageSmoothingEnabled = picture.width > 2 * wide * style.density;
    pen.drawImage(picture, x - wide, y - high, 2 * wide, 2 * high);
    [pen.strokeStyle, pen.lineWidth] = [style.accent, 3];
    pen.strokeRect(x - wide - 2.5, y - high - 2.5, 2 * wide + 5, 2 * high + 5);
    return { wide: wide + 4, high: high + 4 };
  }
}
