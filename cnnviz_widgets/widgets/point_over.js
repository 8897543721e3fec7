/**
 * What lies over the points and changes more often than they do: rings, marks and their lines, labels, thumbnails, the
 * lasso. All in CSS pixels of the view.
 */

import { groupLabels, inView, middles, pictureBoxes, pointLabels, Room } from "./point_labels.js";

const HIGH = 15; // Of a line of words.
const MOST_NAMES = 60;

export class PointOver {
  /** @param {import("./point_state.js").PointState} state */
  constructor(state) {
    this.state = state;
    /** @type {{ group: any, x: number, y: number }[] | null} */ this.middles = null;
    /** @type {Map<string, number>} */ this.widths = new Map();
    /** @type {ImageBitmap[]} of the marks */ this.pictures = [];
  }

  /** Groups or points are others. */
  renew() {
    this.middles = null;
  }

  /** @param {{ marks: any[], pointed: number | null, selected: number | null, corners: number[] | null }} what */
  draw(pen, view, style, look, what) {
    Object.assign(this, { pen, view, style, look });
    pen.setTransform(style.density, 0, 0, style.density, 0, 0);
    pen.clearRect(0, 0, view.width, view.height);
    const room = new Room(view.width, view.height);
    const near = what.moving ? null : this.near();
    const boxes = this.drawPictures(near, room, what);
    this.drawLines(what.marks);
    this.drawMarks(what, room);
    this.drawRing(what.selected, boxes, style.accent, 2.5);
    this.drawRing(what.pointed, boxes, style.ink, 1.5);
    if (what.labels) this.drawLabels(near, boxes, room, what);
    this.drawLasso(what.corners);
    return boxes;
  }

  /** The points in sight if they are few. */
  near() {
    const { state, view } = this;
    if (!state.count || (state.count > 300 && view.zoom < 1.3)) return null;
    return inView(state, view);
  }

  drawPictures(near, room, what) {
    const { state, view, pen, style } = this;
    const { thumbnails } = state;
    if (!near || !what.pictures || !thumbnails.some) {
      thumbnails.want(this, []);
      return new Map();
    }
    const first = [what.pointed, what.selected].filter((number) => number !== null && near.includes(number));
    const order = [...new Set([...first.slice(1), ...near])];
    const boxes = pictureBoxes(order, state, view, room, (number) => thumbnails.get(number));
    thumbnails.want(this, boxes.keys());
    for (const [number, { x0, y0, x1, y1 }] of boxes) {
      const picture = thumbnails.get(number);
      if (!picture) continue;
      const faint = state.level[state.rank[number]] === 1;
      pen.globalAlpha = faint ? 0.35 : 1;
      pen.imageSmoothingEnabled = picture.width > (x1 - x0) * style.density;
      pen.imageSmoothingQuality = "high";
      pen.drawImage(picture, x0, y0, x1 - x0, y1 - y0);
      pen.lineWidth = 2;
      pen.strokeStyle = state.stands(number) ? style.alarm : this.look.colourOf(number);
      pen.strokeRect(x0 - 1, y0 - 1, x1 - x0 + 2, y1 - y0 + 2);
      pen.globalAlpha = 1;
    }
    return boxes;
  }

  drawLines(marks) {
    const { state, view, pen, style } = this;
    for (const mark of marks) {
      for (const [colour, width] of [[style.paper, 3.5], [style.ink, 1.25]]) {
        pen.beginPath();
        for (const number of mark.lines_to) {
          const { x, y } = state.shown(number);
          if (!(x === x)) continue;
          pen.moveTo(view.right(mark.x), view.under(mark.y));
          pen.lineTo(view.right(x), view.under(y));
        }
        [pen.strokeStyle, pen.lineWidth] = [colour, width];
        pen.stroke();
      }
      for (const number of mark.lines_to) this.ring(state.shown(number), this.look.radius + 2.5, style.ink, 1.5);
    }
  }

  /** A diamond, which no point is; with a thumbnail in it if there is one. */
  drawMarks({ marks }, room) {
    const { view, pen, style } = this;
    marks.forEach((mark, i) => {
      const [x, y] = [view.right(mark.x), view.under(mark.y)];
      const picture = this.pictures[i];
      if (picture) {
        const share = 48 / Math.max(picture.width, picture.height) / 2;
        const [wide, high] = [picture.width * share, picture.height * share];
        pen.fillStyle = style.paper;
        pen.fillRect(x - wide - 4, y - high - 4, 2 * wide + 8, 2 * high + 8);
        pen.imageSmoothingEnabled = picture.width > 2 * wide * style.density;
        pen.drawImage(picture, x - wide, y - high, 2 * wide, 2 * high);
        [pen.strokeStyle, pen.lineWidth] = [style.accent, 3];
        pen.strokeRect(x - wide - 2.5, y - high - 2.5, 2 * wide + 5, 2 * high + 5);
        room.taken.push({ x0: x - wide - 4, y0: y - high - 4, x1: x + wide + 4, y1: y + high + 4 });
        if (mark.name) this.write({ text: mark.name, x, y: y + high + 13, align: "center", strong: true });
        return;
      }
      pen.beginPath();
      for (const [right, under] of [[0, -9], [9, 0], [0, 9], [-9, 0]]) pen.lineTo(x + right, y + under);
      pen.closePath();
      [pen.fillStyle, pen.strokeStyle, pen.lineWidth, pen.lineJoin] = [style.accent, style.paper, 2, "miter"];
      pen.fill();
      pen.stroke();
      room.taken.push({ x0: x - 9, y0: y - 9, x1: x + 9, y1: y + 9 });
      if (mark.name) this.write({ text: mark.name, x, y: y + 19, align: "center", strong: true });
    });
  }

  drawRing(number, boxes, colour, width) {
    if (number === null || number >= this.state.count) return;
    const box = boxes.get(number);
    const { pen } = this;
    if (!box) return this.ring(this.state.shown(number), this.look.radius + 3, colour, width);
    [pen.strokeStyle, pen.lineWidth] = [colour, width + 1];
    pen.strokeRect(box.x0 - 3.5, box.y0 - 3.5, box.x1 - box.x0 + 7, box.y1 - box.y0 + 7);
  }

  /** Around a point, on the page's own ground. */
  ring({ x, y }, radius, colour, width) {
    const { view, pen, style } = this;
    if (!(x === x)) return;
    for (const [ink, thick] of [[style.paper, width + 2], [colour, width]]) {
      pen.beginPath();
      pen.arc(view.right(x), view.under(y), radius, 0, 2 * Math.PI);
      [pen.strokeStyle, pen.lineWidth] = [ink, thick];
      pen.stroke();
    }
  }

  drawLabels(near, boxes, room, what) {
    const { state, view, pen } = this;
    const { words } = state;
    const names = near && near.length <= MOST_NAMES && words.named ? near : [];
    const first = [what.selected].filter((number) => names.includes(number));
    const few = [...new Set([...first, ...names])].slice(0, MOST_NAMES);
    words.want(this, few.filter((number) => words.name(number) === undefined));
    this.middles ??= middles(state);
    const widthOf = (text) => this.width(text);
    pen.font = this.font(true);
    // Close to single points it is they that have names; from afar the groups.
    const labels = few.length ? [] : groupLabels(this.middles, view, room, widthOf, HIGH);
    pen.font = this.font(false);
    const wanted = few.map((number) => {
      const reach = reachOf(boxes.get(number), this.look.radius);
      return { number, text: shortened(words.name(number) ?? ""), reach };
    });
    labels.push(...pointLabels(wanted.filter(({ text }) => text), state, view, room, widthOf, HIGH));
    for (const label of labels) this.write(label);
  }

  font(strong) {
    return `${strong ? 600 : 400} 12px ${this.style.font}`;
  }

  width(text) {
    const key = `${this.pen.font}|${text}`;
    const known = this.widths.get(key);
    if (known !== undefined) return known;
    if (this.widths.size > 5000) this.widths.clear();
    const { width } = this.pen.measureText(text);
    this.widths.set(key, width);
    return width;
  }

  /** @param {import("./point_labels.js").Label} label */
  write({ text, x, y, align, strong }) {
    const { pen, style } = this;
    Object.assign(pen, { font: this.font(strong), textAlign: align, textBaseline: "middle", lineJoin: "round" });
    [pen.strokeStyle, pen.lineWidth, pen.fillStyle] = [style.paper, 4, style.ink];
    pen.strokeText(text, x, y);
    pen.fillText(text, x, y);
  }

  drawLasso(corners) {
    if (!corners) return;
    const { pen, style } = this;
    pen.beginPath();
    for (let i = 0; i < corners.length; i += 2) pen.lineTo(corners[i], corners[i + 1]);
    pen.closePath();
    pen.globalAlpha = 0.12;
    pen.fillStyle = style.accent;
    pen.fill("evenodd");
    pen.globalAlpha = 1;
    for (const [colour, width] of [[style.paper, 3.5], [style.accent, 1.5]]) {
      [pen.strokeStyle, pen.lineWidth] = [colour, width];
      pen.stroke();
    }
  }
}

const reachOf = (box, radius) => (box ? Math.max(box.x1 - box.x0, box.y1 - box.y0) / 2 : radius);

const shortened = (text) => (text.length > 28 ? `${text.slice(0, 27)}…` : text);
