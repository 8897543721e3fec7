/**
 * The front end of TileGrid: a wall of maps, of which only those in sight are drawn.
 *
 * `Tiles` belongs to the model: it keeps what came and asks for what is missing. `View` belongs to one place on the page:
 * one canvas as large as what is seen of the wall, in a scroller as high as the whole. Where the tiles are says `wall.js`,
 * what they look like `tile_paint.js`.
 *
 * @typedef {{ channel: number, y: number, x: number }} Cell  of a map
 * @typedef {import("./front/tiles.js").TileLayer} TileLayer
 */

import { ColourBar } from "./front/bar.js";
import { scaleOf } from "./front/colours.js";
import { Density } from "./front/density.js";
import { clamp, keepKeys, make, put } from "./front/elements.js";
import { change } from "./front/link.js";
import { Readout } from "./front/readout.js";
import { Report } from "./front/report.js";
import { drawCell, drawMap, drawNumber, drawRing, styleOf } from "./front/tile_draw.js";
import { Painter } from "./front/tile_paint.js";
import { TileTools } from "./front/tile_tools.js";
import { strongestOf, valueAt, wordsOf } from "./front/tile_words.js";
import { orderOf, Tiles } from "./front/tiles.js";
import { cornerOf, hitOf, inSight, reveal, wallOf } from "./front/wall.js";

const TRAITS = [
  "layer", "selected", "order", "locked", "scale", "colormap", "tables", "tile_size", "height", "first", "picked",
  "pointing", "status", "error", "label", "toolbar",
];
const CLOSE = 150; // Milliseconds on one tile after which its exact values are fetched.

/** One of these for every model: anywidget calls the default export once for each. */
export default () => {
  const tiles = new Tiles();
  return {
    initialize: ({ model }) => tiles.attach(model, TRAITS),
    render: ({ model, el }) => {
      const view = new View(model, el, tiles);
      return () => view.destroy();
    },
  };
};

const HINT = "Point at a map to read its values; click to select it.";
/** The elements of one view. `draw` makes all of them show what the model says, `paint` only the canvas. */
class View {
  constructor(model, el, tiles) {
    Object.assign(this, { model, el, tiles });
    /** @type {{ x: number, y: number } | null} where the mouse is, in the page */ this.mouse = null;
    /** @type {Cell | { channel: number } | null} under the mouse */ this.hover = null;
    /** @type {{ y: number, x: number } | null} the cell cursor, in the selected tile */ this.cell = null;
    /** @type {number | null} the channel that is looked at closely */ this.close = null;
    this.wall = null;
    this.frame = 0;
    this.stale = true; // More has to be drawn than the canvas.
    this.goal = model.get("first"); // The place to scroll to, or null.
    this.mine = -1; // The `first` that this view said itself.
    this.shown = model.get("seen").length > 0; // Whether the selected tile need not be brought into sight.
    this.painter = new Painter();
    this.build();
    this.listen();
    this.draw();
  }

  destroy() {
    this.tiles.views.delete(this.redraw);
    this.tiles.look(this, null);
    this.resized.disconnect();
    this.themed.disconnect();
    this.density.close();
    for (const timer of [this.retry, this.recolour, this.resting, this.closer]) clearTimeout(timer);
    cancelAnimationFrame(this.frame);
    this.el.classList.remove("cnnviz-host");
    this.el.replaceChildren();
  }

  build() {
    this.canvas = make("canvas", { className: "cnnviz-pixels" });
    this.canvas.setAttribute("aria-hidden", "true");
    this.tall = make("div", { className: "cnnviz-tall" }, this.canvas);
    this.option = make("div", { className: "cnnviz-unseen", id: `cnnviz-${Math.random().toString(36).slice(2)}` });
    this.option.setAttribute("role", "option");
    this.scroller = make("div", { className: "cnnviz-scroller", tabIndex: 0 }, this.option, this.tall);
    this.scroller.setAttribute("role", "listbox");
    this.scroller.setAttribute("aria-orientation", "horizontal");
    this.nothing = make("div", { className: "cnnviz-nothing", textContent: "No maps yet." });
    this.bar = new ColourBar();
    this.caption = make("div", { className: "cnnviz-caption" });
    this.static = make("div", { className: "cnnviz-static", textContent: "static: no kernel answers" });
    this.readout = new Readout();
    const again = () => this.schedule(true);
    this.report = new Report({
      stop: () => {
        this.tiles.link.say({ type: "stop" });
        again();
      },
      closed: () => {
        again();
        this.scroller.focus();
      },
    });

    this.tools = new TileTools(this.model, (channel) => this.select(channel));
    this.stage = make("div", { className: "cnnviz-stage" }, this.scroller, this.bar.element);
    this.root = make(
      "div", { className: "cnnviz cnnviz-wall" },
      make("div", { className: "cnnviz-head" }, this.caption, this.static),
      this.stage, this.nothing, this.report.track,
      make("div", { className: "cnnviz-under" }, this.readout.element, this.report.work),
      this.report.alarm, this.tools.element,
    );
    keepKeys(this.root);
    this.el.classList.add("cnnviz-host");
    this.el.replaceChildren(this.root);
  }

  listen() {
    const { scroller, canvas } = this;
    this.redraw = (trait) => this.changed(trait);
    this.tiles.views.add(this.redraw);
    this.density = new Density(() => this.schedule(true));
    this.resized = new ResizeObserver(() => this.schedule(true));
    this.resized.observe(scroller);
    // The new theme's colours may come a moment after its name.
    this.themed = new MutationObserver(() => {
      this.schedule(true);
      clearTimeout(this.recolour);
      this.recolour = setTimeout(() => this.schedule(true), 300);
    });
    this.themed.observe(document.body, { attributes: true });

    scroller.addEventListener("scroll", () => this.scrolled());
    scroller.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("pointermove", (event) => this.point({ x: event.clientX, y: event.clientY }));
    canvas.addEventListener("pointerleave", () => this.point(null));
    canvas.addEventListener("click", (event) => {
      this.point({ x: event.clientX, y: event.clientY });
      this.choose(this.under());
    });
  }

  // ------------------------------------------------------------------------------------------ what happens

  changed(trait) {
    if (trait === "layer") this.hover = null;
    if (trait === "selected" || trait === "order") this.shown = false;
    if (trait === "order" && this.selected() === null) this.goal = 0; // The first ones are why one sorts.
    if (trait === "first" && this.model.get("first") !== this.mine) this.goal = this.model.get("first");
    if (trait === "status" || trait === "error") this.report.renew();
    this.schedule(trait !== "tiles");
  }

  point(mouse) {
    this.mouse = mouse;
    this.schedule(false);
  }

  /** What is under the mouse: a cell of a map, or only a channel. @returns {Cell | { channel: number } | null} */
  under() {
    const { mouse, wall, layer } = this;
    if (!mouse || !wall || !layer) return null;
    const box = this.canvas.getBoundingClientRect();
    const hit = hitOf(wall, layer.count, mouse.x - box.left, mouse.y - box.top + this.scroller.scrollTop);
    if (!hit) return null;
    const channel = this.channels[hit.place];
    if (!hit.inside) return { channel };
    return { channel, y: Math.floor(hit.inside.y * layer.height), x: Math.floor(hit.inside.x * layer.width) };
  }

  /** @param {Cell | { channel: number } | null} spot */
  choose(spot) {
    if (!spot) return;
    if ("y" in spot) {
      this.cell = { y: spot.y, x: spot.x };
      change(this.model, { selected: spot.channel, picked: { channel: spot.channel, y: spot.y, x: spot.x } });
    } else this.select(spot.channel);
  }

  select(channel) {
    change(this.model, { selected: channel });
    this.shown = false;
    this.schedule(true);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.layer || !this.wall) return;
    const { tools } = this;
    const { columns, down } = this.wall;
    const screen = columns * Math.max(1, Math.floor(this.scroller.clientHeight / down));
    const { count, width, height } = this.layer;
    const walk = {
      ArrowLeft: () => this.step(-1), ArrowRight: () => this.step(1),
      ArrowUp: () => this.step(-columns), ArrowDown: () => this.step(columns),
      PageUp: () => this.step(-screen), PageDown: () => this.step(screen),
      Home: () => this.step(-count), End: () => this.step(count),
    };
    const inside = {
      ArrowLeft: () => this.move(0, -1), ArrowRight: () => this.move(0, 1),
      ArrowUp: () => this.move(-1, 0), ArrowDown: () => this.move(1, 0),
      PageUp: () => this.move(-10, 0), PageDown: () => this.move(10, 0),
      Home: () => this.move(0, -width), End: () => this.move(0, width),
    };
    const actions = {
      ...(event.shiftKey ? inside : walk),
      Enter: () => this.pick(),
      "+": () => tools.larger(), "=": () => tools.larger(), "-": () => tools.smaller(), "0": () => tools.usual(),
      o: () => tools.nextOrder(),
      l: () => tools.toggleLock(),
      c: () => tools.colours.next(),
      "#": () => tools.jump.focus(),
    };
    const action = Object.hasOwn(actions, event.key) && actions[event.key];
    if (!action) return; // Tab, Escape and all others belong to the page.
    event.preventDefault();
    event.stopPropagation();
    this.mouse = null; // The keyboard leads now, wherever the mouse was left.
    action();
  }

  /** Walk so many tiles on, in the present order. */
  step(by) {
    const { count } = this.layer;
    const selected = this.selected();
    if (selected === null) {
      const { start } = this.sight();
      this.select(this.channels[Math.abs(by) < count ? start : by < 0 ? 0 : count - 1]);
      return;
    }
    const place = this.places[selected];
    let to = place + by;
    // Up and down end in the column where they are; anything else ends at the first or the last tile.
    if (Math.abs(by) === this.wall.columns && (to < 0 || to >= count)) to = place;
    this.select(this.channels[clamp(to, 0, count - 1)]);
  }

  /** Walk from cell to cell in the selected tile, from its strongest one. */
  move(down, right) {
    const channel = this.selected();
    if (channel === null) return this.step(0);
    const { width, height } = this.layer;
    const from = this.cell;
    this.cell = from
      ? { y: clamp(from.y + down, 0, height - 1), x: clamp(from.x + right, 0, width - 1) }
      : this.strongest(channel);
    this.shown = false;
    this.schedule(true);
  }

  pick() {
    const channel = this.selected();
    if (channel === null) return this.step(0);
    this.cell ??= this.strongest(channel);
    if (this.cell) this.choose({ channel, ...this.cell });
    this.schedule(true);
  }

  strongest(channel) {
    const tile = this.tiles.get(channel);
    return tile ? strongestOf(tile) : null;
  }

  selected() {
    const channel = this.model.get("selected");
    return channel !== null && this.layer && channel < this.layer.count ? channel : null;
  }

  /** The cell that the mouse or, without it, the cell cursor is at. @returns {Cell | { channel: number } | null} */
  spot() {
    if (this.hover) return this.hover;
    const channel = this.selected();
    if (channel === null) return null;
    const { cell, layer } = this;
    return cell && cell.y < layer.height && cell.x < layer.width ? { channel, ...cell } : { channel };
  }

  scrolled() {
    this.schedule(false);
    // Another view, or Python, may have scrolled this one: to say so again would start an argument.
    if (Math.abs(this.scroller.scrollTop - this.placed) < 2) return;
    this.resting ??= setTimeout(() => {
      this.resting = undefined;
      if (!this.wall) return;
      this.mine = this.sight().start;
      change(this.model, { first: this.mine });
    }, CLOSE);
  }

  // ------------------------------------------------------------------------------------------ what is seen

  /** @param {boolean} all more than the canvas */
  schedule(all) {
    this.stale ||= all;
    if (!this.frame) this.frame = requestAnimationFrame(() => (this.stale ? this.draw() : this.paint()));
  }

  draw() {
    const { model } = this;
    this.stale = false;
    this.layer = this.tiles.layer;
    this.stage.hidden = !this.layer;
    this.nothing.hidden = Boolean(this.layer);
    const order = this.layer && orderOf(this.layer, model.get("order"));
    if (order !== this.channels) {
      this.channels = order;
      this.places = new Int32Array(order?.length ?? 0);
      order?.forEach((channel, place) => (this.places[channel] = place));
    }
    this.style = styleOf(this.root, this.density.now());
    this.lay();
    this.tools.draw(this.layer, this.wall, this.selected());
    this.paint();
    this.drawWords();
  }

  /** Place the tiles, and keep in sight what was in sight. */
  lay() {
    const { model, layer, scroller } = this;
    if (!layer) {
      this.wall = null;
      return;
    }
    const height = model.get("height");
    const room = { width: scroller.clientWidth, height };
    if (!room.width) return;
    const before = this.wall;
    const wall = wallOf(layer, room, model.get("tile_size"));
    const moved = !before || wall.columns !== before.columns || wall.down !== before.down;
    const anchor = moved && before ? this.anchor(before) : null;
    this.wall = wall;
    scroller.style.height = `${Math.min(height, wall.total)}px`;
    this.tall.style.height = `${wall.total}px`;
    const seen = scroller.clientHeight;
    if (this.goal !== null) {
      this.scrollTo(Math.floor(this.goal / wall.columns) * wall.down);
      this.placed = scroller.scrollTop;
      this.goal = null;
    } else if (anchor) {
      this.scrollTo(Math.floor(anchor.place / wall.columns) * wall.down - anchor.offset);
    }
    const selected = this.selected();
    if (!this.shown && selected !== null) {
      this.scrollTo(reveal(wall, this.places[selected], scroller.scrollTop, seen));
    }
    this.shown = true;
  }

  /** The tile that stays where it is when sizes change: the selected one if it was seen, else the first. */
  anchor(wall) {
    const { scrollTop, clientHeight } = this.scroller;
    const selected = this.selected();
    const row = (place) => Math.floor(place / wall.columns) * wall.down - scrollTop;
    if (selected !== null) {
      const offset = row(this.places[selected]);
      if (offset > -wall.down && offset < clientHeight) return { place: this.places[selected], offset };
    }
    const { start } = inSight(wall, this.layer.count, scrollTop, clientHeight);
    return { place: start, offset: row(start) };
  }

  scrollTo(top) {
    if (Math.abs(this.scroller.scrollTop - top) >= 1) this.scroller.scrollTop = top;
  }

  sight() {
    return inSight(this.wall, this.layer.count, this.scroller.scrollTop, this.scroller.clientHeight);
  }

  paint() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const { layer, wall, canvas, scroller, model } = this;
    if (!layer) {
      this.tiles.look(this, null);
      return;
    }
    const [width, height] = [scroller.clientWidth, scroller.clientHeight];
    if (!width || !height || !wall) {
      // Out of sight. When it comes back the observer says so, except after a change of theme, which hides everything
      // for less than a frame: hence one more try.
      if (!this.unseen) this.retry = setTimeout(() => this.schedule(true), 300);
      this.unseen = true;
      return;
    }
    this.unseen = false;
    const { density } = this.style;
    const [across, down] = [Math.round(width * density), Math.round(height * density)];
    if (canvas.width !== across || canvas.height !== down) {
      [canvas.width, canvas.height] = [across, down];
      Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
    }
    this.hover = this.under();
    this.table = this.tools.colours.table(layer.signed);
    this.painter.wear(this.table, this.common()?.lo, this.common()?.hi, layer.signed);
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, across, down);
    const { start, stop } = this.sight();
    const selected = this.selected();
    for (let place = start; place < stop; place++) this.drawTile(pen, place, this.channels[place] === selected);
    const spot = this.spot();
    if (spot && "y" in spot) drawCell(pen, this.box(this.places[spot.channel]), spot, layer, density);
    this.lookClosely(spot && "y" in spot ? spot.channel : null);
    this.tiles.look(this, { start, stop, close: this.close });
    this.drawSpot(spot);
    if (model.get("pointing")) this.tell(spot);
  }

  /** The scale that all tiles share, or null. Single values always do: alone, each would be its own maximum. */
  common() {
    const { layer, model } = this;
    if (!model.get("locked") && layer.width * layer.height > 1) return null;
    const known = this.ends;
    if (known?.layer !== layer) {
      const [lo, hi] = [layer.lo.reduce((a, b) => Math.min(a, b)), layer.hi.reduce((a, b) => Math.max(a, b))];
      this.ends = { layer, lo, hi, signed: layer.signed };
    }
    return scaleOf(this.ends, model.get("scale"));
  }

  scale(channel) {
    const { lo, hi, signed } = this.layer;
    return this.common() ?? { lo: lo[channel], hi: hi[channel], signed };
  }

  /** Where a tile's map is on the canvas, in its own pixels. */
  box(place) {
    const { density } = this.style;
    const { x, y } = cornerOf(this.wall, place);
    const top = this.scroller.scrollTop;
    const [left, upper] = [Math.round(x * density), Math.round((y - top) * density)];
    return { left, upper, width: Math.round(this.wall.width * density), height: Math.round(this.wall.height * density) };
  }

  drawTile(pen, place, selected) {
    const { layer, style } = this;
    const channel = this.channels[place];
    const box = this.box(place);
    const tile = this.tiles.get(channel);
    const map = tile && {
      pixels: this.painter.paint(tile, this.scale(channel), this.table),
      cells: layer.width / tile.step,
      lines: layer.height / tile.step,
    };
    drawMap(pen, box, map ?? null, style);
    if (selected) drawRing(pen, box, style);
    if (this.wall.strip) drawNumber(pen, box, channel, layer.names?.[channel], selected, style);
  }

  /** Who rests on one map wants to read it: then its exact values are fetched. */
  lookClosely(channel) {
    if (channel === this.watched) return;
    this.watched = channel;
    this.close = null;
    clearTimeout(this.closer);
    if (channel === null || this.layer.live) return;
    this.closer = setTimeout(() => {
      this.close = channel;
      this.schedule(false);
    }, CLOSE);
  }

  /** Tell the kernel which cell is pointed at. Traits are sent one at a time, of many changes only the last. */
  tell(spot) {
    const cell = spot && "y" in spot ? { channel: spot.channel, y: spot.y, x: spot.x } : {};
    const before = this.model.get("pointed");
    if (cell.channel === before.channel && cell.y === before.y && cell.x === before.x) return;
    change(this.model, { pointed: cell });
  }

  drawSpot(spot) {
    const { layer } = this;
    this.readout.show(spot ? this.read(spot) : [], layer ? HINT : "");
    const scale = this.common() ?? (spot ? this.scale(spot.channel) : null);
    const locked = this.model.get("locked");
    const what = this.common() ? "one scale for all" : spot ? `scale of channel ${spot.channel}` : "each its own scale";
    const now = [layer, this.table, scale?.lo, scale?.hi, what];
    if (this.barred && now.every((value, i) => value === this.barred[i])) return;
    this.barred = now;
    const { signed } = layer;
    const shown = scale ?? { lo: signed ? -1 : 0, hi: 1, signed };
    this.bar.draw(shown, layer.color ? null : this.table, { held: locked, what });
    if (!scale) [this.bar.hi.textContent, this.bar.lo.textContent] = ["max", signed ? "−max" : "0"];
  }

  /** What is known of a channel, and of a cell of it, as pairs of a name and a value. */
  read(spot) {
    const sorted = this.model.get("order") !== "channel";
    return wordsOf(this.layer, spot, "y" in spot ? this.value(spot) : "", sorted ? this.places[spot.channel] : null);
  }

  value(cell) {
    const tile = this.tiles.get(cell.channel);
    if (tile) return valueAt(tile, cell);
    return this.tiles.link.silent ? "not kept in this page" : "…";
  }

  drawWords() {
    const { model, layer } = this;
    const caption = layer?.label || model.get("label");
    put(this.caption, caption);
    this.static.hidden = !this.tiles.link.silent;
    this.report.draw(model.get("status"), model.get("error"));
    const what = layer ? `${layer.count} maps of ${layer.height} by ${layer.width}` : "No maps";
    this.scroller.setAttribute("aria-label", `${caption ? `${caption}: ` : ""}${what}. Arrow keys walk.`);
    const selected = this.selected();
    this.option.hidden = selected === null;
    if (selected === null) this.scroller.removeAttribute("aria-activedescendant");
    else {
      const words = this.read({ channel: selected }).map((pair) => pair.join(" "));
      put(this.option, words.join(", "));
      this.option.setAttribute("aria-selected", "true");
      this.option.setAttribute("aria-posinset", String(this.places[selected] + 1));
      this.option.setAttribute("aria-setsize", String(layer.count));
      this.scroller.setAttribute("aria-activedescendant", this.option.id);
    }
  }
}
