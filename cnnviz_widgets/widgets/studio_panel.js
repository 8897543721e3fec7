/** How a picture is made: the preset, how many and how long, and each piece of the recipe as a row. */

import { keepKeys, make, put } from "./front/elements.js";
import { Dial } from "./studio_dial.js";

const GROUPS = {
  regularizers: ["Keeps it a picture", "Regularisers: without any, the network is content with noise."],
  transforms: ["Seen from many sides", "Each step sees the picture a little changed: what survives that is no dust."],
};
const NUMBERS = [
  ["n", "Pictures", "so many of each target, from different noise", 1, 64, 1],
  ["channels", "Channels", "so many channels of the layer side by side, from the chosen one on", 1, 64, 1],
  ["diversity", "Diversity", "how much the pictures of one target should differ; 0 leaves it to their noise", 0, 100, 0.1],
  ["seed", "Seed", "of the noise and of the views: the same seed gives the same picture", 0, 999999, 1],
  ["steps", "Steps", "how many; may be changed while it runs", 1, 100000, 1],
];

export class StudioPanel {
  /** @param {(content: object) => void} say */
  constructor(say) {
    this.say = say;
    /** @type {Map<string, PieceRow>} */ this.rows = new Map();
    this.open = () => {};
    this.preset = make("select", {});
    this.preset.addEventListener("change", () => say({ type: "set", name: "preset", value: this.preset.value }));
    this.reset = make("button", { type: "button", textContent: "Reset", title: "Back to the preset as it was" });
    this.reset.addEventListener("click", () => say({ type: "reset" }));
    const line = (...parts) => make("div", { className: "cnnviz-line" }, ...parts);
    const field = (name, ...parts) => {
      return make("label", { className: "cnnviz-field" }, make("span", { textContent: name }), ...parts);
    };
    /** @type {Map<string, any>} */ this.numbers = new Map();
    for (const [name, words, title, min, max, step] of NUMBERS) {
      const input = make("input", { type: "number", min: String(min), max: String(max), step: String(step) });
      input.addEventListener("change", () => this.number(name, input));
      const label = field(words, input);
      label.title = title;
      this.numbers.set(name, { input, label });
    }
    this.rate = new Dial("Rate", (value) => say({ type: "set", name: "rate", value }));
    this.rate.element.title = "How far a step goes; may be moved while it runs";
    this.from = make("span", {});
    this.pick = make("button", { type: "button", textContent: "A picture…", title: "Begin with a picture; drop one here, too" });
    this.pick.addEventListener("click", () => this.open());
    this.noise = make("button", { type: "button", textContent: "Noise", title: "Begin with noise again" });
    this.noise.addEventListener("click", () => say({ type: "noise" }));
    this.note = make("p", { textContent: "Decay, blur and clipping change pixels: choose a preset of pixels for them." });
    this.groups = Object.fromEntries(Object.entries(GROUPS).map(([name, [title, about]]) => {
      const list = make("div", {});
      const group = make("fieldset", {}, make("legend", { textContent: title, title: about }), list);
      return [name, { group, list }];
    }));
    this.groups.regularizers.group.append(this.note);
    const all = [...this.numbers.values()].map(({ label }) => label);
    const how = make(
      "div", { className: "cnnviz-how" },
      line(field("Preset", this.preset), this.reset),
      make("div", { className: "cnnviz-numbers" }, ...all),
      this.rate.element,
      line(make("span", { className: "cnnviz-faint", textContent: "Begins with" }), this.from, this.pick, this.noise),
    );
    const groups = Object.values(this.groups).map(({ group }) => group);
    this.element = make("div", { className: "cnnviz-panel" }, how, ...groups);
  }

  close() {
    for (const part of [this.rate, ...this.rows.values()]) part.close();
  }

  draw(settings, pieces, silent) {
    if (!settings.presets) return;
    if (this.preset.options.length !== settings.presets.length) {
      const option = ([value, textContent]) => make("option", { value, textContent });
      this.preset.replaceChildren(...settings.presets.map(option));
    }
    this.preset.value = settings.preset;
    this.preset.title = settings.citation || "No paper: the score alone is climbed";
    this.reset.hidden = !settings.changed;
    for (const [name, { input, label }] of this.numbers) {
      if (document.activeElement !== input || input.value === "") input.value = String(settings[name]);
      label.hidden = (name === "channels" && !settings.unit) || (name === "diversity" && settings.n < 2);
    }
    this.rate.draw(settings.rate);
    put(this.from, settings.init || "noise");
    this.noise.hidden = !settings.init;
    this.note.hidden = settings.parametrization === "pixel";
    if ([...this.rows.keys()].join() !== pieces.map(({ name }) => name).join()) this.fill(pieces);
    for (const piece of pieces) this.rows.get(piece.name).draw(piece);
    for (const control of this.element.querySelectorAll("input, select, button")) control.disabled = silent;
  }

  fill(pieces) {
    for (const row of this.rows.values()) row.close();
    this.rows = new Map(pieces.map((piece) => [piece.name, new PieceRow(piece, this.say)]));
    for (const [name, { group, list }] of Object.entries(this.groups)) {
      const here = pieces.filter((piece) => piece.group === name);
      list.replaceChildren(...here.map((piece) => this.rows.get(piece.name).element));
      group.hidden = !here.length;
    }
    keepKeys(this.element);
  }

  number(name, input) {
    const value = input.valueAsNumber;
    if (Number.isFinite(value) && input.checkValidity()) this.say({ type: "set", name, value });
    else input.reportValidity();
  }
}

const ANSWER = 3000; // Milliseconds after which a tick that the kernel did not take is as it was.

/** One piece: a tick, its name, its numbers as sliders, and, where the preset has it and it is off, what it is for. */
class PieceRow {
  constructor(piece, say) {
    this.say = say;
    this.name = piece.name;
    this.piece = piece;
    this.waiting = 0;
    this.tick = make("input", { type: "checkbox" });
    this.tick.addEventListener("change", () => this.tell());
    const label = make("label", {}, this.tick, make("span", { textContent: piece.title }));
    this.dials = piece.dials.map((said) => {
      const dial = new Dial(said.label, () => this.tell());
      dial.input.setAttribute("aria-label", `${piece.title}, ${said.label}`);
      return dial;
    });
    this.missing = make("p", { className: "cnnviz-missing" });
    const sliders = make("div", { className: "cnnviz-dials" }, ...this.dials.map((dial) => dial.element));
    this.element = make("div", { className: "cnnviz-piece-row" }, label, sliders, this.missing);
    this.element.title = `${piece.does} ${piece.paper}`;
    this.tick.setAttribute("aria-description", `${piece.does} ${piece.paper}`);
  }

  close() {
    clearTimeout(this.waiting);
    for (const dial of this.dials) dial.close();
  }

  /** Frames come meanwhile, with the pieces as they were: until the kernel has answered, the tick is the reader's. */
  tell() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.answered(), ANSWER);
    const values = Object.fromEntries(this.dials.map((dial) => [dial.said.name, dial.value]));
    this.say({ type: "piece", name: this.name, on: this.tick.checked, values });
  }

  answered() {
    clearTimeout(this.waiting);
    this.waiting = 0;
    this.draw(this.piece);
  }

  draw(piece) {
    this.piece = piece;
    const { missing, dials } = piece;
    if (this.waiting && piece.on === this.tick.checked) return this.answered();
    const on = this.waiting ? this.tick.checked : piece.on;
    this.tick.checked = on;
    this.element.classList.toggle("cnnviz-off", !on);
    this.dials.forEach((dial, i) => {
      dial.draw(dials[i]);
      dial.element.hidden = !on;
    });
    put(this.missing, missing ? `Without it ${missing}.` : "");
    this.missing.hidden = !missing;
  }
}
