/** What a unit looks for, on a UnitCard: the offer to make a picture of it, the picture while it grows, and when done. */

import { make, put } from "./front/elements.js";
import { bytesOf } from "./front/link.js";
import { offscreen, pixelsOf } from "./front/paint.js";
import { say } from "./front/words.js";

const ABOUT = "A picture that is made, step by step, so that this channel answers to it as strongly as it can " +
  "(Olah, Mordvintsev & Schubert 2017). It takes some seconds.";

export class Look {
  /** @param {(stop: boolean) => void} ask called when the picture is asked for, or no more */
  constructor(ask) {
    this.running = false;
    this.button = make("button", { type: "button", title: ABOUT });
    this.button.addEventListener("click", () => ask(this.running));
    this.words = make("span", {});
    this.words.setAttribute("aria-live", "polite");
    this.place = make("div", {});
    const line = make("div", { className: "cnnviz-wish-line" }, this.button, this.words);
    const head = make("h4", { textContent: "What it looks for" });
    this.element = make("div", { className: "cnnviz-wish" }, head, this.place, line);
    this.element.hidden = true;
  }

  /** @param {any} unit on the card @param {any} sent what came, of this unit or another @param {boolean} silent no kernel */
  show(unit, sent, silent) {
    const mine = sent?.key === unit.name && (!silent || sent.picture);
    this.element.hidden = !mine;
    if (!mine) return;
    this.running = sent.state === "running";
    this.element.setAttribute("aria-busy", String(this.running));
    this.button.hidden = silent || sent.state === "here";
    put(this.button, this.running ? "Stop" : sent.state === "wrong" ? "Try again" : "Make a picture of it");
    put(this.words, sent.state === "here" ? scored(sent.score, unit.statistics.mean) : sent.words);
    if (sent.picture) this.draw(unit, sent.picture);
    else this.place.replaceChildren();
  }

  draw(unit, { data, width, height }) {
    const canvas = offscreen(pixelsOf(bytesOf(data), width, height));
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Picture made for channel ${unit.channel} of ${unit.layer}`);
    this.place.replaceChildren(canvas);
  }
}

/** What the channel answers to it, beside what it answers to the picture on the card. */
function scored(score, here) {
  return `mean ${say(score, 3)}; on this picture ${here === null ? "no value" : say(here, 3)}`;
}
