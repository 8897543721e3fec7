/**
 * The tiles of a layer on this side of the line: what came, what is still wanted, and asking for it.
 *
 * cnnviz_widgets/widgets/tile_messages.py says how they travel.
 *
 * @typedef {{ channel: number, width: number, height: number, planes: number, step: number, half: boolean,
 *   codes: Uint8Array | Uint16Array, factor: number, base: number, zero: number, each: number }} Tile
 *   width, height: in cells that travelled, of which each stands for step x step
 * @typedef {{ id: string, key: string, count: number, width: number, height: number, planes: number, color: boolean,
 *   signed: boolean, live: boolean, whole: boolean, label: string, names: string[] | null, lo: Float32Array,
 *   hi: Float32Array, maximum: Float32Array, mean: Float32Array, orders: Record<string, Int32Array> }} TileLayer
 * @typedef {{ start: number, stop: number, close: number | null }} Sight
 *   the places that one view sees, and the channel that somebody looks at closely
 */

import { bytesOf, change, Link } from "./link.js";

const STORE = 64 * 2 ** 20; // Bytes that are kept.
const ANSWER = 2 ** 19; // Bytes of one answer, as in tile_messages.py.
const SIGHT = 2 ** 21; // Bytes that the tiles in sight may have together; more of them are asked for coarser.
const AHEAD = 2 ** 20; // Bytes of neighbours that are fetched before anybody scrolls there.
const GLANCE = 100; // Milliseconds after which the kernel hears what is seen ...
const REST = 300; // ... and after which it is told to keep that.

/** What one model remembers of its layers; the tile that was not seen for longest goes first. */
export class Tiles {
  constructor() {
    /** @type {Map<string, Map<number, Tile>>} by layer */ this.kept = new Map();
    this.bytes = 0;
    /** @type {TileLayer | null} */ this.layer = null;
    /** @type {Map<object, Sight>} */ this.sights = new Map();
    /** @type {Set<(trait: string) => void>} */ this.views = new Set();
    this.asked = false;
    this.refused = ""; // The layer about which the kernel knows nothing any more.
    this.held = new Set(); // The channels whose tiles are in the model's state.
  }

  /** Follow the model from now on. @param {string[]} traits of which the views hear @returns {() => void} how to stop */
  attach(model, traits) {
    this.model = model;
    const handlers = traits.map((trait) => [`change:${trait}`, () => this.follow(trait)]);
    handlers.push(["msg:custom", (content, buffers) => this.hear(content, buffers)]);
    for (const [event, handler] of handlers) model.on(event, handler);
    this.link = new Link(model, () => this.changed("silent"));
    this.take();
    this.link.say({ type: "hello" });
    return () => {
      this.link.close();
      clearTimeout(this.glance);
      clearTimeout(this.rest);
      for (const [event, handler] of handlers) model.off(event, handler);
    };
  }

  follow(trait) {
    if (trait === "layer") this.take();
    this.changed(trait);
    if (trait === "layer" || trait === "order") this.pump();
  }

  changed(trait) {
    for (const redraw of this.views) redraw(trait);
  }

  /** Take the model's layer and the tiles that came with it. */
  take() {
    const sent = this.model.get("layer");
    const before = this.layer;
    this.layer = sent?.id ? layerOf(sent) : null;
    this.held = new Set();
    if (!this.layer) return;
    if (before?.live && before.id !== this.layer.id) this.forget(before.id); // That moment will not come back.
    this.refused = "";
    const { channels, limits, data } = sent.tiles;
    for (const tile of this.put(this.layer, sent.tiles, [channels, limits, data])) this.held.add(tile.channel);
    this.rested();
  }

  hear(content, buffers) {
    if (content.type !== "tiles") return;
    this.asked = false;
    if (!content.tiles) this.refused = content.id;
    else if (this.layer?.id === content.id) this.put(this.layer, content.tiles, buffers);
    this.changed("tiles");
    this.pump();
  }

  // ------------------------------------------------------------------------------------------ what is kept

  /** @returns {Tile | undefined} */
  get(channel) {
    const tiles = this.layer && this.kept.get(this.layer.id);
    const tile = tiles?.get(channel);
    if (tile) {
      tiles.delete(channel);
      tiles.set(channel, tile);
    }
    return tile;
  }

  /** Keep tiles that came, unless a better one is here. @returns {Tile[]} all that came */
  put(layer, sent, buffers) {
    const tiles = this.kept.get(layer.id) ?? new Map();
    this.kept.delete(layer.id);
    this.kept.set(layer.id, tiles);
    const came = tilesOf(layer, sent, buffers);
    for (const tile of came) {
      const old = tiles.get(tile.channel);
      if (old && rank(old) <= rank(tile)) continue;
      tiles.delete(tile.channel);
      tiles.set(tile.channel, tile);
      this.bytes += tile.codes.byteLength - (old?.codes.byteLength ?? 0);
    }
    while (this.bytes > STORE) this.drop();
    return came;
  }

  drop() {
    const [id, tiles] = this.kept.entries().next().value;
    const first = tiles.entries().next().value;
    if (first) {
      this.bytes -= first[1].codes.byteLength;
      tiles.delete(first[0]);
    } else this.kept.delete(id);
  }

  forget(id) {
    for (const tile of this.kept.get(id)?.values() ?? []) this.bytes -= tile.codes.byteLength;
    this.kept.delete(id);
  }

  // ------------------------------------------------------------------------------------------ what is wanted

  /** A view says what it sees. @param {object} view @param {Sight | null} sight null: it is gone */
  look(view, sight) {
    const before = this.sights.get(view);
    if (!sight) this.sights.delete(view);
    else if (before && before.start === sight.start && before.stop === sight.stop && before.close === sight.close) return;
    else this.sights.set(view, sight);
    this.pump();
    this.rested();
    this.glance ??= setTimeout(() => {
      this.glance = undefined;
      const seen = this.hull();
      if (seen) change(this.model, { seen });
    }, GLANCE);
  }

  /** The places that any view sees. @returns {[number, number] | null} */
  hull() {
    const sights = [...this.sights.values()];
    if (!sights.length) return null;
    return [Math.min(...sights.map(({ start }) => start)), Math.max(...sights.map(({ stop }) => stop))];
  }

  order() {
    return this.layer && orderOf(this.layer, this.model.get("order"));
  }

  /** Ask for the next tiles, if there are any to ask for and no answer is awaited. */
  pump() {
    if (this.asked || !this.layer || this.refused === this.layer.id) return;
    const wanted = this.wanted();
    if (!wanted) return;
    this.asked = true;
    this.link.say({ type: "need", id: this.layer.id, ...wanted });
  }

  /** The most urgent tiles that are missing: in sight, then looked at closely, then near. */
  wanted() {
    const { layer } = this;
    const seen = this.hull();
    if (!layer || !seen) return null;
    const tiles = this.kept.get(layer.id) ?? new Map();
    const order = this.order();
    const [start, stop] = [Math.min(seen[0], layer.count), Math.min(seen[1], layer.count)];
    const step = this.step(stop - start);
    const missing = (from, to) =>
      [...order.subarray(Math.max(0, from), to)].filter((channel) => !(tiles.get(channel)?.step <= step));
    let channels = missing(start, stop);
    if (channels.length) return { channels, step, exact: false };
    if (layer.live) return null;
    for (const { close } of this.sights.values()) {
      const tile = close === null ? null : tiles.get(close);
      const fits = 2 * bytesAt(layer, 1) <= ANSWER;
      if (tile && fits && !(tile.half && tile.step === 1)) return { channels: [close], step: 1, exact: true };
    }
    const near = Math.floor(AHEAD / bytesAt(layer, step));
    channels = missing(stop, stop + Math.ceil((2 * near) / 3));
    if (!channels.length) channels = missing(start - Math.floor(near / 3), start);
    return channels.length ? { channels, step, exact: false } : null;
  }

  /** How coarse the tiles in sight have to be. */
  step(count) {
    let step = 1;
    const { layer } = this;
    const longest = Math.max(layer.width, layer.height);
    const tooMuch = () => count * bytesAt(layer, step) > SIGHT || bytesAt(layer, step) > ANSWER;
    while (step < longest && tooMuch()) step++;
    return step;
  }

  /** After a while of rest the kernel puts into the model's state what is seen, for a page without a kernel. */
  rested() {
    clearTimeout(this.rest);
    this.rest = setTimeout(() => {
      const { layer } = this;
      const seen = this.hull();
      if (!layer || layer.whole || !seen || this.refused === layer.id) return;
      const channels = [...this.order().subarray(...seen)];
      if (!channels.every((channel) => this.held.has(channel))) this.link.say({ type: "keep", id: layer.id, channels });
    }, REST);
  }
}

/** The channels in an order. @param {TileLayer} layer @param {string} name @returns {Int32Array} */
export function orderOf(layer, name) {
  layer.orders.channel ??= Int32Array.from({ length: layer.count }, (_, channel) => channel);
  return layer.orders[name] ?? layer.orders.channel;
}

/** @returns {number} NaN where there is no value */
export function valueOf(tile, at) {
  const code = tile.codes[at];
  if (tile.half) return halves()[code] * tile.factor;
  return code === 255 ? NaN : tile.base + (code - tile.zero) * tile.each;
}

/** The 65,536 numbers that a float16 can be. */
export const halves = (() => {
  /** @type {Float32Array | null} */ let table = null;
  return () => {
    if (table) return table;
    table = new Float32Array(65536);
    for (let code = 0; code < 65536; code++) {
      const [exponent, fraction] = [(code >> 10) & 31, code & 1023];
      let value = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024);
      if (exponent === 31) value = fraction ? NaN : Infinity;
      table[code] = code >> 15 ? -value : value;
    }
    return table;
  };
})();

// ---------------------------------------------------------------------------------- from bytes to numbers

const copyOf = (data) => bytesOf(data).slice().buffer; // A copy: a buffer may start anywhere.

const rank = (tile) => 2 * tile.step + (tile.half ? 0 : 1); // Finer is better, then more exact.

const bytesAt = ({ width, height, planes }, step) => planes * Math.ceil(width / step) * Math.ceil(height / step);

/** @returns {TileLayer} */
function layerOf(sent) {
  const [height, width] = sent.shape;
  const { id, key, count, signed, live, whole, label, names } = sent;
  const stats = new Float32Array(copyOf(sent.stats));
  const [lo, hi, maximum, mean] = [0, 1, 2, 3].map((row) => stats.subarray(row * count, (row + 1) * count));
  const orders = Object.entries(sent.orders).map(([name, data]) => [name, new Int32Array(copyOf(data))]);
  const color = sent.kind === "color";
  return {
    id, key, count, width, height, planes: color ? 3 : 1, color, signed, live, whole, label, names,
    lo, hi, maximum, mean, orders: Object.fromEntries(orders),
  };
}

/** @returns {Tile[]} */
function tilesOf({ width: w, height: h, planes }, sent, [numbers, limits, data]) {
  const { step, factor } = sent;
  const half = sent.encoding === "float16";
  const channels = new Int32Array(copyOf(numbers));
  const ends = new Float32Array(copyOf(limits));
  const all = half ? new Uint16Array(copyOf(data)) : bytesOf(data);
  const [width, height] = [Math.ceil(w / step), Math.ceil(h / step)];
  const size = planes * width * height;
  return [...channels].map((channel, i) => {
    const codes = all.slice(i * size, (i + 1) * size); // Of its own, so that dropping a tile frees its bytes.
    const [base, zero, each] = half ? [0, 0, 0] : ends.subarray(3 * i, 3 * i + 3);
    return { channel, width, height, planes, step, half, codes, factor, base, zero, each };
  });
}
