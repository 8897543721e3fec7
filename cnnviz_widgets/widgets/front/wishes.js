/** What is known by number, kept as far as there is room, and asked for as far as somebody wants it. */

import { Gate } from "./gate.js";

const AT_ONCE = 32; // Asked for in one message: so many are there soon, and what is wished next waits no longer.

/**
 * Things of one kind that the kernel has by numbers. One question at a time is on its way, and it asks for what is
 * wanted by then. What was not looked at for longest is forgotten first.
 * @template T
 */
export class Wishes {
  /**
   * @param {string} type of the question and of its answer, {type, source, numbers, number}
   * @param {number} most how many are kept
   * @param {(gone: T) => void} drop called with what is forgotten
   */
  constructor(type, most, drop = () => {}) {
    this.type = type;
    this.most = most;
    this.drop = drop;
    /** @type {Map<number, T | undefined>} undefined while it is made ready */ this.kept = new Map();
    /** @type {Map<object, number[]>} by who wishes, the newest wishes last */ this.wishes = new Map();
    this.gate = new Gate(async () => this.request(), (content) => this.link.say(content));
  }

  /**
   * Follow the model from now on.
   * @param {import("./link.js").Link} link the model's; it knows when nobody answers
   * @param {string} trait that names the source
   * @param {() => void} changed some came, or others are to be had
   * @returns {() => void} how to stop
   */
  follow(model, link, trait, changed) {
    Object.assign(this, { model, link, changed });
    const hear = (content, buffers) => this.hear(content, buffers);
    const renew = () => {
      if (this.source === this.known) return;
      this.known = this.source;
      this.forget();
      changed();
      this.ask();
    };
    this.known = this.source;
    model.on("msg:custom", hear);
    model.on(`change:${trait}`, renew);
    return () => {
      model.off("msg:custom", hear);
      model.off(`change:${trait}`, renew);
      this.wishes.clear();
      this.forget();
    };
  }

  /** Names what the numbers stand for; "" while nothing is to be had. */
  get source() {
    return "";
  }

  /** Make an answer's parts ready. @returns {Promise<T[]>} one for each number */
  async ready(_content, _buffers) {
    return [];
  }

  /** What there is of a number; undefined: it is not here (`want` it). */
  get(number) {
    const found = this.kept.get(number);
    if (found) this.touch(number);
    return found;
  }

  /**
   * Say what somebody wants now; what the same one wanted before and does not want any more is not asked for.
   * @param {object} who a view, say
   * @param {Iterable<number>} numbers the most wanted first; none when it is gone
   */
  want(who, numbers) {
    this.wishes.delete(who);
    const list = [...numbers].slice(0, this.most);
    if (!list.length) return;
    this.wishes.set(who, list);
    this.ask();
  }

  ask() {
    if (this.source && this.missing().length) this.gate.wish();
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
    const numbers = this.source ? this.missing().slice(0, AT_ONCE) : [];
    if (!numbers.length) return null;
    return { content: { type: this.type, source: this.source, numbers }, buffers: [] };
  }

  async hear(content, buffers) {
    if (content.type !== this.type) return;
    const { source, numbers, number } = content;
    if (source === this.source) await this.keep(numbers, this.ready(content, buffers), source);
    this.gate.answer([number]);
    this.ask();
  }

  /**
   * Keep what is made ready of these numbers, unless it is of another source by then.
   * @param {number[]} numbers @param {Promise<T[]>} coming one for each
   */
  async keep(numbers, coming, source) {
    for (const number of numbers) if (!this.kept.has(number)) this.kept.set(number, undefined);
    (await coming).forEach((thing, i) => {
      const number = numbers[i];
      if (source !== this.source || !this.kept.has(number)) return this.drop(thing);
      this.lose(number);
      this.kept.set(number, thing);
    });
    while (this.kept.size > this.most) this.lose(this.kept.keys().next().value);
    this.changed();
  }

  touch(number) {
    if (!this.kept.has(number)) return;
    const thing = this.kept.get(number);
    this.kept.delete(number);
    this.kept.set(number, thing);
  }

  lose(number) {
    const thing = this.kept.get(number);
    this.kept.delete(number);
    if (thing) this.drop(thing);
  }

  forget() {
    this.gate.close();
    for (const number of [...this.kept.keys()]) this.lose(number);
  }
}
