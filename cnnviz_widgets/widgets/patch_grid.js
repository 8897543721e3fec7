/**
 * The front end of PatchWall: for each channel the patches that excite it most, and beside them their projections.
 *
 * `Sheets` belongs to the model: it keeps the blocks that came and asks for those in sight. `PatchView` belongs to one
 * place on the page. How blocks travel says cnnviz_widgets/widgets/patch_messages.py.
 *
 * @typedef {{ channel: number, part: "patches" | "projections", cell: [number, number], pitch: [number, number],
 *   count: number, words: [string, string][][], note: string, picture: ImageBitmap | null }} Sheet
 * @typedef {{ patches?: Sheet, projections?: Sheet }} Pair
 */

import { keepKeys, make, put } from "./front/elements.js";
import { change } from "./front/link.js";
import { Readout } from "./front/readout.js";
import { Report } from "./front/report.js";
import { Shelf } from "./front/shelf.js";
import { say } from "./front/words.js";
import { blocksIn, cellAt, drawBlock, MIDDLE, placeOfCell } from "./patch_blocks.js";
import { PatchDetail } from "./patch_detail.js";
import { orderOfChannels, Sheets } from "./patch_sheets.js";
import { PatchTools } from "./patch_tools.js";

const LINES = 36; // Of words under a channel's blocks, in CSS pixels.
const HINT = "Point at a patch to read where it comes from; click to select its channel.";

/** One of these for every model: anywidget calls the default export once for each. */
export default () => {
  const sheets = new Sheets();
  return {
    initialize: ({ model }) => sheets.attach(model),
    render: ({ model, el }) => {
      const view = new PatchView(model, el, sheets);
      return () => view.destroy();
    },
  };
};

class PatchView {
  constructor(model, el, sheets) {
    Object.assign(this, { model, el, sheets });
    this.frame = 0;
    /** @type {string | null} the layer that was shown last */ this.key = null;
    /** @type {{ place: number, cell: number | null } | null} what the mouse is on */ this.hover = null;
    this.build();
    this.redraw = (trait) => this.changed(trait);
    sheets.views.add(this.redraw);
    this.draw();
  }

  destroy() {
    this.sheets.views.delete(this.redraw);
    this.sheets.look(this, null);
    cancelAnimationFrame(this.frame);
    this.shelf.close();
    this.el.classList.remove("cnnviz-host");
    this.el.replaceChildren();
  }

  build() {
    const { sheets, model } = this;
    this.shelf = new Shelf({
      fill: (tile, place) => this.fill(tile, place),
      look: (start, stop) => sheets.look(this, [...this.channels.subarray(start, stop)]),
      choose: (place) => this.select(place),
      changed: () => this.schedule(),
    });
    this.caption = make("div", { className: "cnnviz-caption" });
    this.static = make("div", { className: "cnnviz-static", textContent: "static: no kernel answers" });
    this.legend = make("div", { className: "cnnviz-explained" });
    this.nothing = make("div", { className: "cnnviz-nothing", textContent: "No layer yet." });
    this.detail = new PatchDetail();
    this.readout = new Readout();
    this.report = new Report({ stop: () => sheets.link.say({ type: "stop" }), closed: () => this.schedule() });
    this.tools = new PatchTools(model, (channel) => change(model, { selected: channel }));
    const { track, work, alarm } = this.report;
    this.root = make(
      "div", { className: "cnnviz cnnviz-patchwall" },
      make("div", { className: "cnnviz-head" }, this.caption, this.static),
      this.legend, this.shelf.element, this.nothing, track,
      make("div", { className: "cnnviz-under" }, this.readout.element, work), alarm, this.tools.element,
      this.detail.element,
    );
    const { element } = this.shelf;
    element.addEventListener("keydown", (event) => this.pressed(event));
    element.addEventListener("pointermove", (event) => this.point(event));
    element.addEventListener("pointerleave", () => this.point(null));
    keepKeys(this.root);
    this.el.classList.add("cnnviz-host");
    this.el.replaceChildren(this.root);
  }

  // ------------------------------------------------------------------------------------------ what happens

  changed(trait) {
    if (trait === "status" || trait === "error") this.report.renew();
    if (trait === "layer") this.hover = null;
    if (trait === "order" && this.model.get("selected") === null) this.shelf.rewind(); // The first ones are why one sorts.
    this.moved ||= trait === "selected" || trait === "order";
    this.schedule();
  }

  schedule() {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.draw());
  }

  select(place) {
    change(this.model, { selected: this.channels[place] });
    this.changed("selected");
  }

  /** @param {PointerEvent | null} event */
  point(event) {
    const place = event ? this.shelf.placeOf(event) : null;
    const tile = place === null ? null : this.shelf.tiles.get(place);
    const cell = tile?.size ? cellAt(tile.canvas, event, tile.size, this.sheets.layer) : null;
    if (this.hover?.place === place && this.hover?.cell === cell) return;
    this.hover = place === null ? null : { place, cell };
    this.drawWords();
    this.mark();
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.sheets.layer) return;
    const { shelf, tools } = this;
    const actions = {
      "+": () => tools.larger(), "=": () => tools.larger(), "-": () => tools.smaller(), "0": () => tools.usual(),
      o: () => tools.nextOrder(), "#": () => tools.jump.focus(),
    };
    const place = shelf.led(event.key);
    if (place !== null) this.select(place);
    else if (Object.hasOwn(actions, event.key)) actions[event.key]();
    else return; // Tab, Escape and all others belong to the page.
    event.preventDefault();
    event.stopPropagation();
  }

  // ------------------------------------------------------------------------------------------ what is seen

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const { model, shelf, sheets } = this;
    const { layer } = sheets;
    shelf.element.hidden = this.legend.hidden = !layer;
    this.nothing.hidden = Boolean(layer);
    this.static.hidden = !sheets.link.silent;
    this.report.draw(model.get("status"), model.get("error"));
    put(this.caption, layer?.label ?? "");
    const selected = model.get("selected");
    if (!layer) {
      shelf.empty();
      this.tools.draw(null, 0, null);
      return;
    }
    this.channels = orderOfChannels(layer, model.get("order"));
    if (layer.key !== this.key) {
      shelf.rewind();
      shelf.cursor = null;
      this.moved = true;
    }
    this.key = layer.key;
    this.side = blocksIn(shelf.element.clientWidth, model.get("tile_size"), Boolean(layer.projection));
    const width = layer.projection ? 2 * this.side + MIDDLE : this.side;
    shelf.cursor = selected === null ? null : this.channels.indexOf(selected);
    shelf.lay({ count: layer.count, width, height: this.side + LINES, most: model.get("height") });
    if (this.moved && shelf.laid) {
      this.moved = false;
      shelf.point(shelf.cursor);
    }
    this.tools.draw(layer, this.side, selected);
    this.drawLegend(layer);
    this.detail.draw(selected === null ? null : (sheets.get(selected) ?? null), `Channel ${selected}`);
    this.drawWords();
    this.mark();
    const words = `${layer.label}: ${layer.count} channels. Arrow keys walk.`;
    shelf.element.setAttribute("aria-label", words);
  }

  drawLegend(layer) {
    if (this.explained === layer.id) return;
    this.explained = layer.id;
    const one = (kind, words) =>
      make("span", {}, make("span", { className: `cnnviz-key cnnviz-key-${kind}` }), make("span", { textContent: words }));
    const patches = one("patches", `the ${layer.k} patches that excite a channel most, the strongest first`);
    const projections = one("projections", `what in them excites it: their projections (${layer.projection})`);
    this.legend.replaceChildren(...(layer.projection ? [patches, projections] : [patches]));
  }

  fill(tile, place) {
    const { sheets, side } = this;
    const { layer } = sheets;
    const channel = this.channels[place];
    if (!tile.canvas) {
      tile.canvas = make("canvas", {});
      tile.canvas.setAttribute("aria-hidden", "true");
      tile.notes = [0, 1].map(() => make("div", { className: "cnnviz-missing" }));
      tile.marks = [0, 1].map(() => make("div", { className: "cnnviz-spot", hidden: true }));
      tile.frame = make("div", { className: "cnnviz-plate" }, tile.canvas, ...tile.notes, ...tile.marks);
      tile.words = make("div", { className: "cnnviz-words" });
      tile.append(tile.frame, tile.words);
    }
    const pair = sheets.get(channel) ?? {};
    tile.size = side;
    const seen = [layer.id, channel, side, devicePixelRatio, pair.patches, pair.projections, sheets.link.silent];
    if (tile.seen?.every((value, i) => value === seen[i])) return;
    tile.seen = seen;
    const parts = layer.projection ? [pair.patches, pair.projections] : [pair.patches];
    const width = parts.length * side + (parts.length - 1) * MIDDLE;
    Object.assign(tile.frame.style, { width: `${width}px`, height: `${side}px` });
    const { canvas } = tile;
    [canvas.width, canvas.height] = [width, side].map((length) => Math.round(length * devicePixelRatio));
    Object.assign(canvas.style, { width: `${width}px`, height: `${side}px` });
    parts.forEach((sheet, i) => {
      drawBlock(canvas, sheet, i * (side + MIDDLE), side, layer.columns);
      const missing = sheets.link.silent ? "not kept in this page" : i ? "projecting…" : "";
      put(tile.notes[i], sheet?.picture ? "" : sheet?.note || missing);
      Object.assign(tile.notes[i].style, { left: `${i * (side + MIDDLE)}px`, width: `${side}px` });
      tile.notes[i].hidden = !tile.notes[i].textContent;
    });
    tile.notes[1].hidden ||= parts.length < 2;
    this.drawCaption(tile, channel);
  }

  drawCaption(tile, channel) {
    const { layer } = this.sheets;
    const value = layer.values[channel];
    const strongest = Number.isNaN(value) ? "no value" : value <= 0 ? `never above ${say(value, 3)}` : `max ${say(value, 3)}`;
    const name = layer.names[channel];
    const most = name && sharedBy(layer, channel);
    const number = make("b", { textContent: String(channel) });
    const line = make("div", {}, number, make("span", { textContent: strongest }));
    tile.words.replaceChildren(line, make("div", { textContent: most, title: most }));
    tile.setAttribute("aria-label", [`channel ${channel}`, strongest, most].filter(Boolean).join(", "));
  }

  /** Outline the patch under the mouse, and its projection. */
  mark() {
    const { layer } = this.sheets;
    for (const [place, tile] of this.shelf.tiles) {
      const cell = this.hover?.place === place ? this.hover.cell : null;
      tile.marks?.forEach((mark, i) => {
        mark.hidden = cell === null || (i === 1 && !layer.projection);
        if (mark.hidden) return;
        const { x, y, size } = placeOfCell(cell, tile.size, layer.columns);
        const left = i * (tile.size + MIDDLE) + x;
        Object.assign(mark.style, { left: `${left}px`, top: `${y}px`, width: `${size}px`, height: `${size}px` });
      });
    }
  }

  drawWords() {
    const { layer } = this.sheets;
    if (!layer) return;
    const selected = this.model.get("selected");
    const channel = this.hover ? this.channels[this.hover.place] : selected;
    if (channel === null || channel === undefined) return this.readout.show([], HINT);
    /** @type {[string, string][]} */ const words = [["channel", String(channel)]];
    const cell = this.hover?.cell ?? null;
    const known = this.sheets.get(channel)?.patches;
    if (cell !== null && known && cell < known.count) words.push(["patch", `${cell + 1} of ${known.count}`], ...(known.words[cell] ?? []));
    else {
      const name = layer.names[channel];
      if (!Number.isNaN(layer.values[channel])) words.push(["strongest", say(layer.values[channel])]);
      if (name) words.push([`${layer.by}s`, sharedBy(layer, channel)]);
    }
    this.readout.show(words, HINT);
  }
}

/** The class that most of a channel's patches belong to. */
function sharedBy({ shares, names, k }, channel) {
  return shares[channel] > 1 || k === 1 ? `${shares[channel]} of ${k} ${names[channel]}` : "no class twice";
}
