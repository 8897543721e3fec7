/** Names of points and what more is known of them: those that came with the points, and those that are asked for. */

import { Wishes } from "./front/wishes.js";

/** @typedef {{ name: string, lines: [string, string][] }} Said */

const MOST = 4000;

/** point_words.py answers. @extends {Wishes<Said>} */
export class PointWords extends Wishes {
  constructor() {
    super("words", MOST);
  }

  attach(model, link, changed) {
    return this.follow(model, link, "words", changed);
  }

  get source() {
    return this.model.get("words")?.source ?? "";
  }

  /** Whether points have names at all. */
  get named() {
    return Boolean(this.model.get("words")?.named);
  }

  /** The name of a point; undefined: it is not here. */
  name(number) {
    return this.model.get("words")?.names?.[number] ?? this.get(number)?.name;
  }

  async ready(content, _buffers) {
    return content.words.map(([name, lines]) => ({ name, lines }));
  }
}
