/**
 * The points of one model on this side of the line: where they are, what is known of them, which are chosen.
 *
 * cnnviz_widgets/widgets/point_messages.py says how they travel. Points have two numbers: the one that Python knows, and
 * their place in the order in which they are drawn, which is a shuffled one, so that no group lies over another because
 * of where it stood in a list.
 */

import { bytesOf, change, Link } from "./front/link.js";
import { Thumbnails } from "./front/thumbnails.js";
import { PointGrid } from "./point_grid.js";
import { PointGroups } from "./point_groups.js";
import { CHOSEN, FAINT, PLAIN } from "./point_levels.js";
import { boundsOf } from "./point_polygon.js";
import { PointWords } from "./point_words.js";

const FASTEST = 60; // Milliseconds in which points glide from one step of a layout to the next, ...
const SLOWEST = 500; // ... and those in which they go to another layout.

export class PointState {
  constructor() {
    /** @type {Set<(trait: string) => void>} */ this.views = new Set();
    this.thumbnails = new Thumbnails();
    this.words = new PointWords();
    this.groups = new PointGroups();
    this.count = 0;
    this.id = "";
    this.step = 0;
    this.fits = 0; // How often Python wanted everything to be seen.
    this.came = 0; // When the last step came.
    this.until = 0; // When the points are where they are going.
    this.turn = 0; // Of what was selected here.
    /** @type {number | null} the selection about which the kernel was told and has not answered */ this.awaited = null;
    /** @type {number | null} the group that is pointed at in the legend */ this.lit = null;
    this.empty();
  }

  empty() {
    this.places = new Float32Array(0);
    this.order = this.rank = new Uint32Array(0);
    this.X = this.Y = this.fromX = this.fromY = this.toX = this.toY = new Float32Array(0);
    this.level = this.chosen = new Uint8Array(0);
    this.ringed = new Uint32Array(0);
    this.chosenCount = 0;
    this.missing = 0;
    this.bounds = null;
    this.cells = null;
  }

  /** Follow the model from now on. @param {string[]} traits of which the views hear @returns {() => void} how to stop */
  attach(model, traits) {
    this.model = model;
    const handlers = traits.map((trait) => [`change:${trait}`, () => this.follow(trait)]);
    handlers.push(["msg:custom", (content) => this.hear(content)]);
    for (const [event, handler] of handlers) model.on(event, handler);
    this.link = new Link(model, () => this.changed("silent"));
    const stops = [
      this.thumbnails.attach(model, this.link, () => this.changed("thumbnails")),
      this.words.attach(model, this.link, () => this.changed("said")),
    ];
    this.follow("points");
    this.link.say({ type: "hello" });
    return () => {
      for (const [event, handler] of handlers) model.off(event, handler);
      for (const stop of stops) stop();
      this.link.close();
    };
  }

  changed(trait) {
    for (const redraw of this.views) redraw(trait);
  }

  hear(content) {
    if (content.type === "selection" && content.number === this.awaited) {
      this.awaited = null;
      this.follow("selection");
    }
    if (content.type === "look") for (const look of this.views) look("look", content.numbers);
  }

  follow(trait) {
    const { model } = this;
    if (trait === "points") this.take(model.get("points"));
    if (["points", "groups", "values"].includes(trait)) this.groups.take(model, this.count, this.order);
    if (["points", "highlight"].includes(trait)) this.ring(model.get("highlight"));
    if (["points", "selection"].includes(trait)) this.adopt();
    if (["points", "groups", "hidden"].includes(trait)) this.relevel();
    this.changed(trait);
  }

  // ------------------------------------------------------------------------------------------ where points are

  take(sent) {
    const now = performance.now();
    const same = Boolean(sent?.id) && sent.id === this.id && sent.count === this.count;
    if (!same) this.begin(sent);
    if (!this.id) return;
    if (same && sent.step === this.step) return;
    const fits = sent.fit !== this.fits;
    [this.step, this.fits] = [sent.step, sent.fit];
    this.places = floatsOf(sent.data);
    this.missing = sent.missing;
    this.bounds = boundsOf(this.places);
    this.cells = null;
    for (let k = 0; k < this.count; k++) {
      const number = 2 * this.order[k];
      this.toX[k] = this.places[number];
      this.toY[k] = this.places[number + 1];
    }
    const apart = now - this.came;
    this.came = now;
    if (!same || matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.X.set(this.toX);
      this.Y.set(this.toY);
      this.until = 0;
      return;
    }
    this.advance(now);
    this.fromX.set(this.X);
    this.fromY.set(this.Y);
    for (let k = 0; k < this.count; k++) {
      // What had no place, or will have none, does not glide there.
      if (!(this.fromX[k] === this.fromX[k])) [this.fromX[k], this.fromY[k]] = [this.toX[k], this.toY[k]];
    }
    this.began = now;
    this.until = now + (fits ? SLOWEST : Math.min(SLOWEST, Math.max(FASTEST, apart)));
  }

  begin(sent) {
    this.empty();
    this.id = sent?.id ?? "";
    this.count = sent?.count ?? 0;
    this.step = this.fits = 0;
    this.awaited = null;
    this.lit = null;
    const { count } = this;
    this.order = shuffled(count);
    this.rank = new Uint32Array(count);
    for (let k = 0; k < count; k++) this.rank[this.order[k]] = k;
    for (const name of ["X", "Y", "fromX", "fromY", "toX", "toY"]) this[name] = new Float32Array(count);
    this.level = new Uint8Array(count);
    this.chosen = new Uint8Array(count);
  }

  /** Let the points glide on. @returns {boolean} whether they are still on their way */
  advance(now) {
    if (!this.until) return false;
    const share = Math.min(1, (now - this.began) / (this.until - this.began));
    const { X, Y, fromX, fromY, toX, toY, count } = this;
    for (let k = 0; k < count; k++) {
      X[k] = fromX[k] + (toX[k] - fromX[k]) * share;
      Y[k] = fromY[k] + (toY[k] - fromY[k]) * share;
    }
    if (share < 1) return true;
    X.set(toX);
    Y.set(toY);
    this.until = 0;
    return false;
  }

  /** Where a point is drawn. */
  shown(number) {
    const k = this.rank[number];
    return { x: this.X[k], y: this.Y[k] };
  }

  get grid() {
    this.cells ??= new PointGrid(this.places);
    return this.cells;
  }

  /** Whether a point can be seen, pointed at and selected. */
  able(number) {
    return this.level[this.rank[number]] > 0;
  }

  // ------------------------------------------------------------------------------------------ which are chosen

  /** Decide how each point is drawn. */
  relevel() {
    const { order, level, chosen, chosenCount, toX, groups, lit } = this;
    const hidden = groups.hiddenOf(this.model.get("hidden"));
    const { numbers } = groups;
    for (let k = 0; k < level.length; k++) {
      const number = order[k];
      const group = numbers ? numbers[number] : -1;
      if (!(toX[k] === toX[k]) || (hidden && hidden[group + 1])) level[k] = 0;
      else if (lit !== null) level[k] = group === lit ? PLAIN : FAINT;
      else if (chosenCount) level[k] = chosen[number] ? CHOSEN : FAINT;
      else level[k] = PLAIN;
    }
  }

  /** Let one group stand out, while it is pointed at in the legend. @param {number | null} group */
  light(group) {
    if (group === this.lit) return;
    this.lit = group;
    this.relevel();
    this.changed("lit");
  }

  ring(sent) {
    const bits = sent?.count ? bytesOf(sent.bits) : null;
    const ringed = [];
    for (let k = 0; bits && k < this.count; k++) {
      const number = this.order[k];
      if ((bits[number >> 3] >> (number & 7)) & 1) ringed.push(k);
    }
    this.ringed = Uint32Array.from(ringed);
  }

  /** Whether a point has a ring. */
  stands(number) {
    const sent = this.model.get("highlight");
    return Boolean(sent?.count) && Boolean((bytesOf(sent.bits)[number >> 3] >> (number & 7)) & 1);
  }

  /** The points with a ring that are not hidden. */
  standing() {
    return [...this.ringed].map((k) => this.order[k]).filter((number) => this.able(number));
  }

  /** Take the model's selection, unless the kernel has not heard of the present one yet. */
  adopt() {
    if (this.awaited !== null) return;
    const sent = this.model.get("selection");
    this.choose(sent ? wholeOf(sent) : []);
    this.relevel();
  }

  choose(numbers) {
    this.chosen.fill(0);
    this.chosenCount = 0;
    for (const number of numbers) {
      if (number >= this.count || this.chosen[number]) continue;
      this.chosen[number] = 1;
      this.chosenCount++;
    }
  }

  /** The numbers of the chosen points, rising. */
  selection() {
    const numbers = new Uint32Array(this.chosenCount);
    for (let number = 0, n = 0; number < this.count; number++) if (this.chosen[number]) numbers[n++] = number;
    return numbers;
  }

  /**
   * Select points, and tell the kernel.
   * @param {Iterable<number>} numbers
   * @param {"only" | "more" | "less"} how only these, these too, or no longer these
   * @param {number[]} corners of the lasso that they lie in
   */
  select(numbers, how = "only", corners = []) {
    if (how === "only") this.choose(numbers);
    else {
      const to = how === "more" ? 1 : 0;
      for (const number of numbers) {
        this.chosenCount += to - this.chosen[number];
        this.chosen[number] = to;
      }
    }
    this.relevel();
    this.awaited = ++this.turn;
    const content = { type: "selection", points: this.id, number: this.awaited };
    this.link.say(content, [this.selection().buffer, Float64Array.from(corners).buffer]);
    this.changed("selection");
  }

  /** @param {number | null} number */
  click(number) {
    change(this.model, { selected: number });
    if (number !== null) this.link.say({ type: "click", points: this.id, point: number });
  }
}

/** All numbers below `count` in an order by chance, always the same one. */
function shuffled(count) {
  const order = new Uint32Array(count);
  let seed = 0x9e3779b9;
  for (let k = 0; k < count; k++) {
    // Marsaglia's xorshift: three shifts.
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    const other = (seed >>> 0) % (k + 1);
    order[k] = order[other];
    order[other] = k;
  }
  return order;
}

/** Numbers of four bytes, whatever place they begin at. */
const floatsOf = (data) => new Float32Array(bytesOf(data).slice().buffer);
const wholeOf = (data) => new Uint32Array(bytesOf(data).slice().buffer);
