/** A square with one or several small pictures, a caption under it, and a way to see it larger. */

import { Density } from "./density.js";
import { make, put } from "./elements.js";
import { drawSharp } from "./paint.js";

const GAP = 4; // Between two pieces, in CSS pixels.
const LABEL = 18; // The height of the words under a piece.

/**
 * @typedef {{ picture?: HTMLCanvasElement, element?: Element, label?: string, title?: string }} Piece
 *   a picture that is drawn sharply, or an element that fills its place
 */

export class Figure {
  /**
   * @param {string} name
   * @param {(figure: Figure) => void} pressed
   * @param {Element[]} controls below the caption
   */
  constructor(name, pressed, ...controls) {
    this.name = name;
    /** @type {Piece[]} */ this.pieces = [];
    this.grown = false;
    this.unseen = false;
    this.retry = 0;
    this.inner = make("span", { className: "cnnviz-pieces" });
    this.note = make("span", { className: "cnnviz-blank" });
    this.frame = make("button", { type: "button", className: "cnnviz-frame" }, this.inner, this.note);
    this.caption = make("figcaption", {});
    const extra = make("div", { className: "cnnviz-extra" }, ...controls);
    this.element = make("figure", { className: `cnnviz-figure cnnviz-${name}` }, this.frame, this.caption, extra);
    this.frame.addEventListener("click", () => {
      if (this.pieces.length || this.grown) pressed(this);
    });
    this.resized = new ResizeObserver(() => this.paint());
    this.resized.observe(this.frame);
    this.density = new Density(() => this.paint());
    this.large(false);
  }

  close() {
    clearTimeout(this.retry);
    this.resized.disconnect();
    this.density.close();
  }

  /**
   * Show these pieces; or, with none, the note in their place.
   * @param {{ pieces?: Piece[], caption: string, title: string, note?: string, wrong?: boolean }} what
   */
  show({ pieces = [], caption, title, note = "", wrong = false }) {
    put(this.caption, caption);
    this.caption.title = title;
    this.frame.title = pieces.length ? title : note;
    put(this.note, pieces.length ? "" : note);
    this.note.hidden = pieces.length > 0;
    this.note.classList.toggle("cnnviz-wrong", wrong);
    // Not `disabled`: who walks by keyboard would lose his place when a picture leaves.
    this.frame.setAttribute("aria-disabled", String(!pieces.length));
    this.frame.setAttribute("aria-label", pieces.length ? `${caption}. ${title}` : `${caption}: ${note}`);
    this.pieces = pieces;
    this.inner.replaceChildren(
      ...pieces.map(({ picture, element, label, title: about }) => {
        const inside = picture ? make("canvas", {}) : element;
        inside.setAttribute("aria-hidden", "true");
        const words = label ? [make("span", { className: "cnnviz-label", textContent: label })] : [];
        return make("span", { className: "cnnviz-piece", title: about ?? title }, inside, ...words);
      }),
    );
    this.paint();
  }

  large(on) {
    this.grown = on;
    this.element.classList.toggle("cnnviz-large", on);
    this.frame.setAttribute("aria-expanded", String(on));
    this.paint();
  }

  paint() {
    this.density.now();
    const side = this.frame.clientWidth;
    const tall = this.frame.clientHeight;
    if (!this.pieces.length) return;
    if (!side || !tall) {
      // Out of sight. When it comes back the observer says so, except after a change of theme, which hides everything
      // for less than a frame: hence one more try.
      if (!this.unseen) this.retry = setTimeout(() => this.paint(), 300);
      this.unseen = true;
      return;
    }
    this.unseen = false;
    const places = layout(this.pieces, side, tall);
    this.inner.style.gridTemplateColumns = `repeat(${places.columns}, max-content)`;
    this.pieces.forEach(({ picture, element }, i) => {
      const holder = this.inner.children[i].firstElementChild;
      if (element) Object.assign(holder.style, { width: `${places.width}px`, height: `${places.height}px` });
      else drawSharp(holder, picture, picture.width * places.zoom(picture), picture.height * places.zoom(picture));
    });
  }
}

/**
 * The number of columns in which the pieces become largest, and the room that each then has.
 * @param {Piece[]} pieces
 */
function layout(pieces, side, tall) {
  const labels = pieces.some((piece) => piece.label) ? LABEL : 0;
  let best = null;
  for (let columns = pieces.length; columns > 0; columns--) {
    const rows = Math.ceil(pieces.length / columns);
    const width = (side - (columns - 1) * GAP) / columns;
    const height = (tall - (rows - 1) * GAP) / rows - labels;
    const zoom = (picture) => Math.min(width / picture.width, height / picture.height);
    const size = zoom(pieces[0].picture ?? { width: 1, height: 1 });
    if (!best || size > best.size) best = { columns, width, height, zoom, size };
  }
  return best;
}
