/**
 * The front end of PictureWall: pictures by number, of which only those in sight are asked for and drawn.
 *
 * `Pictures` belongs to the model: it keeps what came. `Wall` belongs to one place on the page.
 */

import { keepKeys, keysHelp, make, put } from "./front/elements.js";
import { bytesOf, change, Link } from "./front/link.js";
import { drawSharp } from "./front/paint.js";
import { Report } from "./front/report.js";
import { Shelf } from "./front/shelf.js";
import { Thumbnails } from "./front/thumbnails.js";

const TRAITS = ["wall", "clicked", "row", "tile_size", "height", "empty", "status", "error"];
const LINE = 16; // Of a caption, in CSS pixels, as in picture_wall.css.
const MOST_LINES = 3;
const KEEP_AFTER = 400; // Milliseconds of rest after which the kernel is told to keep what is seen.
const SIZES = { least: 24, most: 256, factor: 1.25 };
const BADGES = { wrong: "✕", right: "✓" };
const WALL_KEYS = [
  ["← ↑ → ↓", "walk from picture to picture"], ["Home End", "first, last picture"], ["Enter", "pick the picture"],
  ["+ −", "larger, smaller pictures"],
];

/** One of these for every model: anywidget calls the default export once for each. */
export default () => {
  const pictures = new Pictures();
  return {
    initialize: ({ model }) => pictures.attach(model),
    render: ({ model, el }) => {
      const wall = new Wall(model, el, pictures);
      return () => wall.destroy();
    },
  };
};

// ---------------------------------------------------------------------------------- what hangs there

class Pictures {
  constructor() {
    this.thumbnails = new Thumbnails(1024);
    /** @type {Set<(trait: string) => void>} */ this.views = new Set();
    this.resting = 0;
  }

  /** Follow the model from now on. @returns {() => void} how to stop */
  attach(model) {
    this.model = model;
    const handlers = TRAITS.map((trait) => [`change:${trait}`, () => this.follow(trait)]);
    for (const [event, handler] of handlers) model.on(event, handler);
    this.link = new Link(model, () => this.changed("silent"));
    const leave = this.thumbnails.attach(model, this.link, () => this.changed("pictures"));
    this.take();
    this.restore();
    this.link.say({ type: "hello" });
    return () => {
      clearTimeout(this.resting);
      leave();
      this.link.close();
      for (const [event, handler] of handlers) model.off(event, handler);
    };
  }

  follow(trait) {
    if (trait === "wall") this.take();
    this.changed(trait);
  }

  changed(trait) {
    for (const redraw of this.views) redraw(trait);
  }

  take() {
    const { numbers, captions, marks, title = "", key = "", turn = 0 } = this.model.get("wall") ?? {};
    const all = numbers ? [...new Int32Array(bytesOf(numbers).slice().buffer)] : [];
    const lines = (captions ?? []).reduce((most, words) => Math.max(most, words.split("\n").length), 0);
    this.wall = { numbers: all, captions, marks, title, key, turn, lines: Math.min(MOST_LINES, lines) };
  }

  /** The pictures that were kept for a page without a kernel. */
  async restore() {
    const { source, numbers = [], pictures = [] } = this.model.get("kept") ?? {};
    if (!numbers.length || source !== this.model.get("thumbnail_source")) return;
    await Promise.all(numbers.map((number, i) => this.thumbnails.take(number, bytesOf(pictures[i]), source)));
    this.changed("pictures");
  }

  /** A view sees these. @param {object} view @param {number[]} seen @param {number[]} near what may be seen next */
  look(view, seen, near) {
    this.thumbnails.want(view, [...seen, ...near]);
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      const held = new Set(this.model.get("kept")?.numbers);
      const source = this.model.get("thumbnail_source");
      if (!source || this.link.silent || seen.every((number) => held.has(number))) return;
      this.link.say({ type: "keep", source, numbers: seen });
    }, KEEP_AFTER);
  }
}

// ---------------------------------------------------------------------------------- what is on the page

class Wall {
  constructor(model, el, pictures) {
    Object.assign(this, { model, el, pictures });
    this.frame = 0;
    /** @type {string | null} the key of what was shown last */ this.key = null;
    this.build();
    this.redraw = (trait) => this.changed(trait);
    pictures.views.add(this.redraw);
    this.draw();
  }

  destroy() {
    this.pictures.views.delete(this.redraw);
    this.pictures.thumbnails.want(this, []);
    cancelAnimationFrame(this.frame);
    this.shelf.close();
    this.el.classList.remove("cnnviz-host");
    this.el.replaceChildren();
  }

  build() {
    const { link } = this.pictures;
    this.shelf = new Shelf({
      fill: (tile, place) => this.fill(tile, place),
      look: (start, stop) => this.look(start, stop),
      choose: (place) => this.pick(place),
      changed: () => this.schedule(),
    });
    this.caption = make("div", { className: "cnnviz-caption" });
    this.count = make("span", { className: "cnnviz-count" });
    this.static = make("div", { className: "cnnviz-static", textContent: "static: no kernel answers" });
    const less = make("button", { type: "button", textContent: "−", title: "Smaller pictures" });
    const more = make("button", { type: "button", textContent: "+", title: "Larger pictures" });
    for (const button of [less, more]) button.setAttribute("aria-label", button.title);
    less.addEventListener("click", () => this.resize(1 / SIZES.factor));
    more.addEventListener("click", () => this.resize(SIZES.factor));
    this.sizes = make("span", { className: "cnnviz-sizes" }, less, more, keysHelp(WALL_KEYS));
    this.nothing = make("div", { className: "cnnviz-nothing" });
    this.report = new Report({ stop: () => link.say({ type: "stop" }), closed: () => this.schedule() });
    const side = make("div", { className: "cnnviz-side" }, this.static, this.count, this.sizes);
    this.head = make("div", { className: "cnnviz-head" }, this.caption, side);
    const { track, work, alarm } = this.report;
    this.root = make("div", { className: "cnnviz cnnviz-pictures" }, this.head, this.shelf.element, this.nothing);
    this.root.append(track, work, alarm);
    this.shelf.element.addEventListener("keydown", (event) => this.pressed(event));
    keepKeys(this.root);
    this.el.classList.add("cnnviz-host");
    this.el.replaceChildren(this.root);
  }

  changed(trait) {
    if (trait === "status" || trait === "error") this.report.renew();
    if (trait === "clicked") {
      const place = this.model.get("clicked").place ?? null;
      if (place !== null && place < this.pictures.wall.numbers.length) this.shelf.point(place);
    }
    this.schedule();
  }

  schedule() {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const { model, shelf, pictures } = this;
    const { numbers, title, key, lines } = pictures.wall;
    const row = model.get("row");
    const size = model.get("tile_size");
    if (key !== this.key) {
      shelf.rewind();
      shelf.cursor = null;
    }
    this.key = key;
    const none = !numbers.length;
    shelf.element.hidden = none;
    this.nothing.hidden = !none;
    put(this.nothing, model.get("empty"));
    put(this.caption, title);
    put(this.count, none ? "" : `${numbers.length.toLocaleString("en")} ${numbers.length === 1 ? "picture" : "pictures"}`);
    this.sizes.hidden = this.count.hidden = row || none;
    this.static.hidden = !pictures.link.silent;
    this.head.hidden = !title && this.static.hidden && (row || none);
    const about = `${title ? `${title}: ` : ""}${numbers.length} pictures. Arrow keys walk, Enter picks.`;
    shelf.element.setAttribute("aria-label", about);
    this.report.draw(model.get("status"), model.get("error"));
    if (none) return shelf.empty();
    if (shelf.cursor !== null && shelf.cursor >= numbers.length) shelf.cursor = null;
    shelf.lay({ count: numbers.length, width: size, height: size + lines * LINE, most: model.get("height"), row });
  }

  look(start, stop) {
    const { numbers } = this.pictures.wall;
    const more = stop - start; // A screen ahead, and half of one back.
    const near = [...numbers.slice(stop, stop + more), ...numbers.slice(Math.max(0, start - more / 2), start)];
    this.pictures.look(this, numbers.slice(start, stop), near);
  }

  fill(tile, place) {
    const { numbers, captions, marks, lines } = this.pictures.wall;
    const number = numbers[place];
    const [caption, mark] = [captions?.[place] ?? "", marks?.[place] ?? ""];
    const size = this.model.get("tile_size");
    if (!tile.canvas) {
      tile.canvas = make("canvas", { hidden: true });
      tile.canvas.setAttribute("aria-hidden", "true");
      tile.badge = make("span", { className: "cnnviz-badge" });
      tile.frame = make("div", { className: "cnnviz-plate" }, tile.canvas, tile.badge);
      tile.words = make("div", { className: "cnnviz-words" });
      tile.append(tile.frame, tile.words);
    }
    this.show(tile, number, size);
    const said = JSON.stringify([number, caption, mark, lines, size]);
    if (tile.said === said) return;
    tile.said = said;
    tile.frame.style.height = `${size}px`;
    put(tile.badge, BADGES[mark] ?? mark);
    tile.badge.hidden = !mark;
    tile.badge.className = `cnnviz-badge ${mark in BADGES ? `cnnviz-${mark}` : ""}`;
    const line = (text) => make("div", { textContent: text });
    tile.words.replaceChildren(...caption.split("\n").slice(0, lines).map(line));
    tile.title = [caption, mark].filter(Boolean).join("\n");
    tile.setAttribute("aria-label", [caption.replaceAll("\n", ", ") || `picture ${number}`, mark].filter(Boolean).join(", "));
  }

  /** Draw the picture, if it came; a drawn one stays, whatever else is kept meanwhile. */
  show(tile, number, size) {
    const source = this.model.get("thumbnail_source");
    const wanted = `${source} ${number} ${size} ${devicePixelRatio}`;
    if (tile.drawn === wanted) return;
    const picture = this.pictures.thumbnails.get(number);
    const same = tile.drawn?.startsWith(`${source} ${number} `);
    if (picture) {
      const zoom = size / Math.max(picture.width, picture.height);
      drawSharp(tile.canvas, picture, picture.width * zoom, picture.height * zoom);
      tile.drawn = wanted;
    } else if (!same) tile.drawn = "";
    tile.canvas.hidden = !picture && !same;
    const { silent } = this.pictures.link;
    const missing = picture === null ? "no picture" : silent ? "not kept" : "";
    if (tile.canvas.hidden && missing) tile.frame.dataset.note = missing;
    else delete tile.frame.dataset.note;
  }

  // ------------------------------------------------------------------------------------------ what happens

  /** @param {KeyboardEvent} event */
  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { shelf } = this;
    const place = shelf.led(event.key);
    if (place !== null) shelf.point(place);
    else if (event.key === "Enter" && shelf.cursor !== null) this.pick(shelf.cursor);
    else if (event.key === "+" || event.key === "=") this.resize(SIZES.factor);
    else if (event.key === "-") this.resize(1 / SIZES.factor);
    else return; // Tab, Escape and all others belong to the page.
    event.preventDefault();
    event.stopPropagation();
  }

  pick(place) {
    this.shelf.point(place);
    this.pictures.link.say({ type: "pick", turn: this.pictures.wall.turn, place });
  }

  resize(factor) {
    const size = Math.round(this.model.get("tile_size") * factor);
    change(this.model, { tile_size: Math.min(SIZES.most, Math.max(SIZES.least, size)) });
  }
}
