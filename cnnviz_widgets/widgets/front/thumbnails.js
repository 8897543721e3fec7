/**
 * Small pictures that the kernel has and the page asks for by their numbers.
 *
 * cnnviz_widgets/widgets/thumbnails.py answers.
 */

import { Gate } from "./gate.js";
import { bytesOf } from "./link.js";

const AT_ONCE = 32; // Asked for in one message: so many are there soon, and what is wished next waits no longer.

/** What one model has of its thumbnails; the one that was not looked at for longest goes first. */
export class Thumbnails {
  /** @param {number} most how many are kept */
  constructor(most = 512) {
    this.most = most;
    /** @type {Map<number, ImageBitmap | null | undefined>} undefined while it is decoded */ this.kept = new Map();
    /** @type {Map<object, number[]>} by who wishes, the newest wishes last */ this.wishes = new Map();
    this.gate = new Gate(async () => this.request(), (content) => this.link.say(content));
  }

  /**
   * Follow the model from now on.
   * @param {import("./link.js").Link} link the model's; it knows when nobody answers
   * @param {() => void} changed some came, or others are to be shown
   * @returns {() => void} how to stop
   */
  attach(model, link, changed) {
    Object.assign(this, { model, link, changed });
    const hear = (content, buffers) => this.hear(content, buffers);
    const renew = () => {
      this.forget();
      changed();
      this.ask();
    };
    model.on("msg:custom", hear);
    model.on("change:thumbnail_source", renew);
    return () => {
      model.off("msg:custom", hear);
      model.off("change:thumbnail_source", renew);
      this.wishes.clear();
      this.forget();
    };
  }

  /** Whether there are any. */
  get some() {
    return Boolean(this.model.get("thumbnail_source"));
  }

  /**
   * The picture of a number, to be drawn at once and not to be kept: an old one is closed when others need its place.
   * @returns {ImageBitmap | null | undefined} null: there is none; undefined: it is not here (`want` it)
   */
  get(number) {
    const picture = this.kept.get(number);
    if (picture) this.touch(number);
    return picture;
  }

  /**
   * Say which thumbnails somebody wants now; what the same one wanted before and does not want any more is not asked for.
   * @param {object} who a view, say
   * @param {Iterable<number>} numbers the most wanted first
   */
  want(who, numbers) {
    this.wishes.delete(who);
    const list = [...numbers].slice(0, this.most);
    if (!list.length) return;
    this.wishes.set(who, list);
    this.ask();
  }

  ask() {
    if (this.some && this.missing().length) this.gate.wish();
  }

  /** What is wanted and not here, the newest wishes first; never more than can be kept. */
  missing() {
    const wanted = new Set();
    for (const list of [...this.wishes.values()].reverse()) for (const number of list) wanted.add(number);
    const able = [...wanted].slice(0, this.most);
    for (const number of [...able].reverse()) this.touch(number);
    return able.filter((number) => !this.kept.has(number));
  }

  request() {
    const numbers = this.some ? this.missing().slice(0, AT_ONCE) : [];
    if (!numbers.length) return null;
    return { content: { type: "thumbnails", source: this.model.get("thumbnail_source"), numbers }, buffers: [] };
  }

  async hear(content, buffers) {
    if (content.type !== "thumbnails") return;
    const { source, numbers, number } = content;
    if (source === this.model.get("thumbnail_source")) {
      await Promise.all(numbers.map((each, i) => this.take(each, bytesOf(buffers[i]), source)));
      this.changed();
    }
    this.gate.answer([number]);
    this.ask();
  }

  /** @param {Uint8Array} bytes */
  async take(number, bytes, source) {
    if (this.kept.get(number)) return; // Another page asked, too.
    this.kept.set(number, undefined);
    const picture = bytes.length ? await decoded(bytes) : null;
    if (source !== this.model.get("thumbnail_source") || !this.kept.has(number)) return picture?.close();
    this.kept.get(number)?.close();
    this.kept.set(number, picture);
    this.touch(number);
    while (this.kept.size > this.most) {
      const [oldest, old] = this.kept.entries().next().value;
      this.kept.delete(oldest);
      old?.close();
    }
  }

  touch(number) {
    if (!this.kept.has(number)) return;
    const picture = this.kept.get(number);
    this.kept.delete(number);
    this.kept.set(number, picture);
  }

  forget() {
    this.gate.close();
    for (const picture of this.kept.values()) picture?.close();
    this.kept.clear();
  }
}

/** @param {Uint8Array} bytes @returns {Promise<ImageBitmap | null>} */
async function decoded(bytes) {
  try {
    return await createImageBitmap(new Blob([bytes]));
  } catch {
    return null; // No picture: nothing is drawn, and it is not asked for again.
  }
}
