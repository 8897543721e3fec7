/**
 * The blocks of a layer's channels on this side of the line: what came, and asking for what is in sight.
 *
 * @typedef {import("./patch_grid.js").Pair} Pair
 */

import { bytesOf, Link } from "./front/link.js";

const PATCH_TRAITS = ["layer", "kept", "selected", "order", "tile_size", "height", "status", "error"];
const MOST = 96 * 2 ** 20; // Bytes of decoded pictures that are kept.
const CALM = 80; // Milliseconds of scrolling after which the kernel hears what is in sight.

/** What one model has of its sheets; the channel that was not seen for longest goes first. */
export class Sheets {
  constructor() {
    /** @type {Map<number, Pair>} by channel */ this.kept = new Map();
    this.bytes = 0;
    this.layer = null;
    /** @type {Map<object, number[]>} the channels in sight */ this.sights = new Map();
    /** @type {Set<(trait: string) => void>} */ this.views = new Set();
    this.said = "";
    this.looked = null; // The layer that was in sight when that was said last.
    this.timer = 0;
  }

  /** Follow the model from now on. @returns {() => void} how to stop */
  attach(model) {
    this.model = model;
    const handlers = PATCH_TRAITS.map((trait) => [`change:${trait}`, () => this.follow(trait)]);
    handlers.push(["msg:custom", (content, buffers) => this.hear(content, buffers)]);
    for (const [event, handler] of handlers) model.on(event, handler);
    this.link = new Link(model, () => this.changed("silent"));
    this.take();
    this.restore();
    this.link.say({ type: "hello" });
    return () => {
      clearTimeout(this.timer);
      this.link.close();
      this.forget();
      for (const [event, handler] of handlers) model.off(event, handler);
    };
  }

  follow(trait) {
    if (trait === "layer") this.take();
    if (trait === "kept") this.restore();
    this.changed(trait);
  }

  changed(trait) {
    for (const redraw of this.views) redraw(trait);
  }

  take() {
    const sent = this.model.get("layer");
    if (sent?.id !== this.layer?.id) this.forget();
    this.said = "";
    this.layer = sent?.id ? layerSent(sent) : null;
  }

  forget() {
    for (const channel of [...this.kept.keys()]) this.drop(channel);
  }

  drop(channel) {
    for (const { picture } of Object.values(this.kept.get(channel) ?? {})) {
      this.bytes -= bytesIn(picture);
      picture?.close();
    }
    this.kept.delete(channel);
  }

  /** @returns {Pair | undefined} */
  get(channel) {
    const pair = this.kept.get(channel);
    if (pair) {
      this.kept.delete(channel);
      this.kept.set(channel, pair);
    }
    return pair;
  }

  hear(content, buffers) {
    if (content.type === "sheets") this.put(content.id, content.sheets, buffers);
  }

  /** The sheets that were kept for a page without a kernel. */
  restore() {
    const { id, sheets = [] } = this.model.get("kept") ?? {};
    const missing = sheets.filter(({ channel, part }) => !this.kept.get(channel)?.[part]);
    if (missing.length) this.put(id, missing, missing.map(({ data }) => data));
  }

  async put(id, sheets, buffers) {
    if (id !== this.layer?.id) return;
    const pictures = await Promise.all(buffers.map(decodedSheet));
    if (id !== this.layer?.id) return pictures.forEach((picture) => picture?.close());
    sheets.forEach((sheet, i) => {
      const pair = this.kept.get(sheet.channel) ?? {};
      const before = pair[sheet.part]?.picture;
      this.bytes += bytesIn(pictures[i]) - bytesIn(before);
      before?.close();
      const { data: _, ...about } = sheet;
      this.kept.delete(sheet.channel);
      this.kept.set(sheet.channel, { ...pair, [sheet.part]: { ...about, picture: pictures[i] } });
    });
    const inSight = new Set([...this.sights.values()].flat());
    for (const channel of [...this.kept.keys()]) {
      if (this.bytes <= MOST) break;
      if (!inSight.has(channel)) this.drop(channel);
    }
    this.changed("sheets");
  }

  // ------------------------------------------------------------------------------------------ what is wanted

  /** A view sees these channels. @param {object} view @param {number[] | null} channels null: it is gone */
  look(view, channels) {
    // What comes is drawn, too, often and again: that is no news, and must not put off asking for what is.
    if (channels && this.layer === this.looked && this.sights.get(view)?.join() === channels.join()) return;
    this.looked = this.layer;
    if (channels) this.sights.set(view, channels);
    else this.sights.delete(view);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), CALM);
  }

  /** Say what is missing in sight, when that is news: the kernel works it off by itself. */
  ask() {
    const { layer } = this;
    if (!layer || this.link.silent) return;
    const seen = [...new Set([...this.sights.values()].flat())];
    const whole = (pair) => pair?.patches && (pair.projections || !layer.projection);
    const channels = seen.filter((channel) => channel < layer.count && !whole(this.kept.get(channel)));
    const news = `${layer.id} ${seen.join()}`;
    if (news === this.said) return;
    this.said = news;
    this.link.say({ type: "need", id: layer.id, channels, seen });
  }
}

/** The channels in an order. @returns {Int32Array} */
export function orderOfChannels(layer, name) {
  layer.orders.channel ??= Int32Array.from({ length: layer.count }, (_, channel) => channel);
  return layer.orders[name] ?? layer.orders.channel;
}

const copied = (data) => bytesOf(data).slice().buffer; // A copy: a buffer may start anywhere.

const bytesIn = (picture) => (picture ? 4 * picture.width * picture.height : 0);

function layerSent(sent) {
  const orders = Object.entries(sent.orders).map(([name, data]) => [name, new Int32Array(copied(data))]);
  const [values, shares] = [new Float32Array(copied(sent.values)), new Int32Array(copied(sent.shares))];
  return { ...sent, values, shares, orders: Object.fromEntries(orders) };
}

/** @returns {Promise<ImageBitmap | null>} */
async function decodedSheet(data) {
  const bytes = bytesOf(data);
  return bytes.length ? createImageBitmap(new Blob([bytes])) : null;
}
