/**
 * What lies over the points and changes more often than they do: rings, marks and their lines, labels, thumbnails, the
 * lasso. All in CSS pixels of the view.
 */

import { groupLabels, inView, middles, pictureBoxes, pointLabels, Room } from "./point_labels.js";

const HIGH = 15; // Of a line of words.
const MOST_NAMES = 60;
const GLIDING = 20_000; // Points whose middles are found anew for each frame.

export class PointOver {
  /** @param {import("./point_state.js").PointState} state */
  constructor(state) {
    this.state = state;
    /** @type {{ group: any, x: number, y: number }[] | null} */ this.middles = null;
    /** @type {Map<string, number>} */ this.widths = new Map();
  }

  /** Groups or points are others. */
  renew() {
    this.middles = null;
  }

  /** Points are on their way: the names of the groups go with them, unless that takes too long. */
  glide() {
    if (this.state.count <= GLIDING) this.renew();
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {import("./point_view.js").PointView} view
   * @param {{ marks: import("./point_marks.js").PointMarks, pointed: number | null, selected: number | null,
   *   corners: number[] | null, moving: boolean, labels: boolean, pictures: boolean }} what
   * @returns {Map<number, import("./point_labels.js").Box>} where thumbnails were drawn
   */
  draw(pen, view, style, look, what) {
    Object.assign(this, { pen, view, style, look });
    pen.setTransform(style.density, 0, 0, style.density, 0, 0);
    pen.clearRect(0, 0, view.width, view.height);
    const room = new Room(view.width, view.height);
    const near = what.moving ? null : this.near();
    const boxes = this.drawPictures(near, room, what);
    what.marks.drawLines(this);
    what.marks.draw(this, room);
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
    const seen = few.filter((number) => boxes.has(number) || !covered(state.shown(number), view, boxes));
    const wanted = seen.map((number) => {
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

/** Whether a point lies under a thumbnail. */
function covered({ x, y }, view, boxes) {
  const [right, under] = [view.right(x), view.under(y)];
  return [...boxes.values()].some(({ x0, y0, x1, y1 }) => right > x0 && right < x1 && under > y0 && under < y1);
}
