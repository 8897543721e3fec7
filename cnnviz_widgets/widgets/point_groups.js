/**
 * What points are coloured by: the group that each is in, or a number.
 *
 * @typedef {{ number: number, name: string, count: number, colour: number[] | null }} Group  number -1: those in none
 */

import { indexOf } from "./front/colours.js";
import { bytesOf } from "./front/link.js";

export class PointGroups {
  constructor() {
    /** @type {Int16Array | Int32Array | null} the group of each point */ this.numbers = null;
    /** @type {Group[]} */ this.list = [];
    this.title = "";
    /** @type {{ name: string, data: Float32Array, lo: number, hi: number, signed: boolean } | null} */
    this.values = null;
    this.order = new Uint32Array(0);
    this.tint = new Uint32Array(0);
    /** @type {string | null} the scale by which tints were found */ this.tinted = null;
  }

  /** Take the model's groups and values, as far as they are about so many points. @param {Uint32Array} order */
  take(model, count, order) {
    const [groups, values] = [model.get("groups"), model.get("values")];
    if (groups !== this.sentGroups) [this.sentGroups, this.readGroups] = [groups, groupsOf(groups)];
    if (values !== this.sentValues) [this.sentValues, this.readValues] = [values, valuesOf(values)];
    // Of several traits that come together, the others may still be about the points before.
    const known = this.readGroups?.numbers.length === count ? this.readGroups : null;
    this.title = known?.title ?? "";
    this.numbers = known?.numbers ?? null;
    this.list = known?.list ?? [];
    this.values = this.readValues?.data.length === count ? this.readValues : null;
    this.order = order;
    this.tinted = null;
  }

  /** The name of a point's group. */
  nameOf(number) {
    const group = this.numbers?.[number] ?? -1;
    return group < 0 ? "" : this.list[group].name;
  }

  /** Which groups are hidden: 1 at one place after each one's number. @returns {Uint8Array | null} null: none */
  hiddenOf(hidden) {
    if (!this.numbers || !hidden?.length) return null;
    const flags = new Uint8Array(this.list.length + 2);
    for (const number of hidden) flags[number + 1] = 1;
    return flags;
  }

  /**
   * Which colour each point has, in the order in which they are drawn: a group, or a place in the table of 256, or the
   * last one for what has neither.
   * @param {{ lo: number, hi: number, signed: boolean } | null} scale of the values, if it is they that colour
   */
  tints(scale) {
    const wanted = scale ? `${scale.lo} ${scale.hi} ${scale.signed}` : "";
    if (this.tinted === wanted && this.tint.length === this.order.length) return this.tint;
    const { order, numbers } = this;
    const tint = new Uint32Array(order.length);
    const named = this.named;
    const data = scale && this.values?.data;
    for (let k = 0; k < order.length; k++) {
      const number = order[k];
      if (data) {
        const value = data[number];
        tint[k] = value === value ? indexOf(value, scale.lo, scale.hi, scale.signed) : 256;
      } else tint[k] = numbers && numbers[number] >= 0 ? numbers[number] : named;
    }
    [this.tint, this.tinted] = [tint, wanted];
    return tint;
  }

  /** How many groups have a name. */
  get named() {
    return this.list.length - (this.list.at(-1)?.number === -1 ? 1 : 0);
  }
}

function groupsOf(sent) {
  if (!sent?.names) return null;
  const { buffer } = bytesOf(sent.numbers).slice();
  const numbers = sent.width === 2 ? new Int16Array(buffer) : new Int32Array(buffer);
  const colours = bytesOf(sent.colors);
  const list = sent.names.map((name, number) => {
    const colour = [...colours.subarray(3 * number, 3 * number + 3)];
    return { number, name, count: sent.counts[number], colour };
  });
  const rest = numbers.length - sent.counts.reduce((sum, each) => sum + each, 0);
  if (rest) list.push({ number: -1, name: "none", count: rest, colour: null });
  return { title: sent.title, numbers, list };
}

function valuesOf(sent) {
  if (!sent?.data) return null;
  return { ...sent, data: new Float32Array(bytesOf(sent.data).slice().buffer) };
}
