/**
 * What the model of an OcclusionCanvas remembers: where the patch is, what is known there, and what has to be asked.
 *
 * @typedef {{ y: number, x: number }} Place  the upper left corner of the patch, in pixels of the picture
 * @typedef {{ h: number, w: number, round: boolean }} Patch
 * @typedef {{ number: number, name: string, p: number }} Guess  a class and its probability
 * @typedef {{ y: number, x: number, guesses: Guess[], sunk: number[] }} Answer
 *   guesses: the most probable first; sunk: how probable the classes without a patch are now, in their order
 */

import { clamp } from "./front/elements.js";
import { Gate } from "./front/gate.js";
import { change, Link } from "./front/link.js";
import { answerOf, answersOf, baseOf, mapOf, nearestIn, placeIn, scenePictures } from "./occlusion_parts.js";

const REST = 150; // Milliseconds after which the kernel is told where the patch came to rest.
const ANSWERS_KEPT = 512; // Of single places; they are looked up when the patch comes back.
const TRAITS = [
  "picture", "patch", "place", "map", "answers", "answer", "base", "opacity", "colormap", "scale", "tables", "status",
  "error", "openable",
];

export class Occlusion {
  constructor() {
    /** @type {Set<(trait: string) => void>} */ this.views = new Set();
    /** @type {Place | null} */ this.place = null;
    /** @type {{ number: number, y: number, x: number, scene: string } | null} the open one */ this.question = null;
    /** @type {Answer | null} what the bars stand for */ this.seen = null;
    /** @type {string} the picture that `seen` belongs to */ this.seenOf = "";
    /** @type {Map<string, Answer>} the kernel's answers, by question */ this.kept = new Map();
    this.exact = false; // Whether that is where the patch is.
    this.refused = ""; // A question that went wrong; not asked again.
    this.rest = 0;
    /** @type {Map<string, { sent: any, parsed: any }>} what came, made into numbers once */ this.parsed = new Map();
  }

  /** Follow the model from now on. @returns {() => void} how to stop */
  attach(model) {
    this.model = model;
    const handlers = TRAITS.map((trait) => [`change:${trait}`, () => this.follow(trait)]);
    for (const [event, handler] of handlers) model.on(event, handler);
    this.link = new Link(model, () => this.changed("silent"));
    this.link.say({ type: "hello" });
    // What comes in one message is announced trait by trait: the question is made when all are there.
    this.gate = new Gate(() => Promise.resolve().then(() => this.ask()), (content) => {
      this.question = /** @type {any} */ (content);
      this.sync();
      this.link.say(content);
      this.gate.wish(); // Until it is answered: what gets lost is asked again.
    });
    this.patch = model.get("patch");
    this.adopt();
    this.answered();
    this.look();
    return () => {
      this.link.close();
      this.gate.close();
      clearTimeout(this.rest);
      for (const [event, handler] of handlers) model.off(event, handler);
    };
  }

  /** The one place where a change of the model has consequences. */
  follow(trait) {
    if (trait === "place") this.adopt();
    if (trait === "patch") this.recentre();
    if (trait === "answer") this.answered();
    if (["answer", "answers", "base"].includes(trait)) this.forget();
    if (trait === "status" || trait === "error") this.failed(trait);
    this.changed(trait);
  }

  changed(trait) {
    this.look();
    for (const redraw of this.views) redraw(trait);
  }

  // ------------------------------------------------------------------------------------------ what there is

  /** Names picture, what is under the patch, and patch: as OcclusionCanvas.scene. */
  get scene() {
    const { id, look } = this.model.get("picture");
    const { h, w, round } = this.model.get("patch");
    return id ? `${id}|${look}|${h}x${w} ${round ? "round" : "square"}` : "";
  }

  /** The picture, and what stands under the patch. */
  get pictures() {
    return this.once("picture", scenePictures);
  }

  /** The map, if it belongs to what is seen. */
  get map() {
    const map = this.once("map", mapOf);
    return map?.scene === this.scene ? map : null;
  }

  /** The answers that can be looked up. */
  get answers() {
    const answers = this.once("answers", answersOf);
    if (answers?.scene !== this.scene || (this.map && this.map.key !== answers.key)) return null;
    return answers;
  }

  /** The classes without a patch. */
  get base() {
    const base = this.once("base", baseOf);
    return base && base.picture === this.model.get("picture").id ? base : null;
  }

  /** The answer at the patch's place: looked up, or the kernel's. @returns {Answer | null} */
  get known() {
    const { place, answers } = this;
    if (!place) return null;
    const at = answers && placeIn(answers, place);
    return at && answers.has(at) ? answers.at(at) : this.kept.get(this.here) ?? null;
  }

  /** Parse a trait when it is another one than last time. */
  once(trait, parse) {
    const sent = this.model.get(trait);
    const kept = this.parsed.get(trait);
    if (kept && kept.sent === sent) return kept.parsed;
    const parsed = sent && Object.keys(sent).length ? parse(sent) : null;
    this.parsed.set(trait, { sent, parsed });
    return parsed;
  }

  // ------------------------------------------------------------------------------------------ where the patch is

  /** Put the patch's centre on a pixel. In a page without a kernel it goes to the nearest place that is computed. */
  centre(y, x) {
    const { h, w } = this.model.get("patch");
    const { width, height } = this.model.get("picture");
    if (!width) return;
    const inside = { y: clamp(y, 0, height - 1) - (h >> 1), x: clamp(x, 0, width - 1) - (w >> 1) };
    this.move((this.link.silent && this.answers && nearestIn(this.answers, inside)) || inside);
  }

  /** Move the patch by so many pixels; without a kernel from one computed place to the next. */
  nudge(down, right) {
    const { h, w } = this.model.get("patch");
    if (this.link.silent && this.answers) {
      const step = (by, [first, second = first + 1]) => Math.sign(by) * Math.max(Math.abs(by), second - first);
      [down, right] = [step(down, this.answers.tops), step(right, this.answers.lefts)];
    }
    this.centre(this.place.y + (h >> 1) + down, this.place.x + (w >> 1) + right);
  }

  home() {
    const { width, height } = this.model.get("picture");
    this.centre(height >> 1, width >> 1);
  }

  /** Put the patch on a place of the map's grid. */
  visit(row, column) {
    const { map, answers } = this;
    if (this.link.silent && !answers?.has({ row, column })) return; // Nobody could say what is there.
    this.move({ y: map.tops[row], x: map.lefts[column] });
  }

  /** Where on the map's grid the patch is. @returns {{ row: number, column: number } | null} */
  get cell() {
    return this.map && this.place && placeIn(this.map, this.place);
  }

  /** @param {Place} place */
  move(place) {
    if (this.place && same(place, this.place)) return;
    this.place = place;
    this.refused = "";
    clearTimeout(this.rest);
    if (this.known) this.rest = setTimeout(() => this.sync(), REST);
    this.changed("place");
  }

  /** Tell the kernel where the patch is, and what the bars stand for. */
  sync() {
    clearTimeout(this.rest);
    const { seen, exact, model, place } = this;
    const shown = seen ? { y: seen.y, x: seen.x, exact } : {};
    const known = JSON.stringify([model.get("place"), model.get("shown")]);
    if (place && known !== JSON.stringify([place, shown])) change(model, { place, shown });
  }

  /** The kernel says where the patch is. */
  adopt() {
    const { y, x } = this.model.get("place") ?? {};
    this.patch = this.model.get("patch"); // A place that comes with another patch is that patch's already.
    if (y === undefined || (this.place && same({ y, x }, this.place))) return;
    clearTimeout(this.rest);
    this.place = { y, x };
    this.refused = "";
  }

  /** A patch of another size has the same centre; the kernel says so too, a moment later. */
  recentre() {
    const [before, now] = [this.patch, this.model.get("patch")];
    this.patch = now;
    this.refused = "";
    if (!this.place) return;
    const y = this.place.y + (before.h >> 1) - (now.h >> 1);
    this.place = { y, x: this.place.x + (before.w >> 1) - (now.w >> 1) };
  }

  // ------------------------------------------------------------------------------------------ what is asked

  /** Find out what the bars stand for now, and ask if nobody knows. */
  look() {
    if (!this.place || !this.gate) return;
    const { known, question } = this;
    const picture = this.model.get("picture").id;
    const before = this.exact && this.seen;
    if (this.seenOf !== picture) this.seen = null;
    if (known) [this.seen, this.seenOf] = [known, picture];
    this.exact = Boolean(known);
    if (question && question.scene !== this.scene) this.giveUp(); // Its answer would be of no use.
    if (!known) this.gate.wish();
    else if (!before || !same(before, known)) {
      clearTimeout(this.rest);
      this.rest = setTimeout(() => this.sync(), REST);
    }
  }

  /** The next question, if there is one. */
  ask() {
    if (!this.place || !this.scene || this.known || this.refused === this.here) return null;
    return { content: { type: "place", ...this.place, scene: this.scene }, buffers: [] };
  }

  get here() {
    return questionOf(this.scene, this.place);
  }

  /** An answer came; while the patch is moving it is of a place where it was a moment ago. */
  answered() {
    const answer = this.once("answer", answerOf);
    if (!answer) return;
    const { question } = this;
    this.kept.set(questionOf(answer.scene, answer), answer);
    if (this.kept.size > ANSWERS_KEPT) this.kept.delete(this.kept.keys().next().value);
    if (answer.scene === this.scene) [this.seen, this.seenOf] = [answer, this.model.get("picture").id];
    if (question && answer.scene === question.scene && same(answer, question)) this.giveUp();
  }

  /** The open question is answered, or will never be. */
  giveUp() {
    const { question } = this;
    this.question = null;
    if (question) this.gate.answer([question.number]);
  }

  /** What went wrong is shown; to ask for it for ever would show it for ever. What was stopped is asked again. */
  failed(trait) {
    const { state } = this.model.get("status");
    const wrong = trait === "status" ? state === "error" : Boolean(this.model.get("error"));
    if (!wrong && !(trait === "status" && state === "stopped")) return;
    if (this.question && wrong) this.refused = questionOf(this.question.scene, this.question);
    this.giveUp();
  }

  /** The kernel took everything back: the network is another one. */
  forget() {
    const empty = (trait) => !Object.keys(this.model.get(trait)).length;
    if (!["answer", "answers", "base"].every(empty)) return;
    this.kept.clear();
    this.seen = null;
  }
}

const same = (a, b) => a.y === b.y && a.x === b.x;

const questionOf = (scene, { y, x }) => `${scene}|${y}|${x}`;
