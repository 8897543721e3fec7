/**
 * The front end of UnitCard: everything about one channel on one picture.
 *
 * `Parts` belongs to the model: it knows which parts belong to the unit on the screen, and keeps its projections by
 * method. `Card` belongs to one place on the page and draws everything anew from the model when something changes.
 *
 * @typedef {{ state: "here" | "wrong" | "coming" | "none", message?: any, text?: string }} Part
 */

import { filterFigure, mapFigure, maskFigure, METHODS, percent, projectionFigure } from "./card_figures.js";
import { Look } from "./card_look.js";
import { histogram } from "./front/charts.js";
import { CodeBox } from "./front/copying.js";
import { keepKeys, make, put, slider } from "./front/elements.js";
import { Figure } from "./front/figure.js";
import { bytesOf, change, Link } from "./front/link.js";
import { offscreen, pixelsOf } from "./front/paint.js";
import { say } from "./front/words.js";

const TRAITS = [
  "picture", "unit", "mask", "projection", "filter", "patches", "look", "projection_method", "opacity", "code",
  "tables",
];

/** One of these for every model: anywidget calls the default export once for each. */
export default () => {
  const parts = new Parts();
  return {
    initialize: ({ model }) => parts.attach(model),
    render: ({ model, el }) => {
      const card = new Card(model, el, parts);
      return () => card.destroy();
    },
  };
};

// ---------------------------------------------------------------------------------- what belongs together

class Parts {
  constructor() {
    /** @type {{ unit: any, picture: any } | null} the newest that belong together */ this.pair = null;
    /** @type {Map<string, any>} the projections that came for one unit, by method */ this.projections = new Map();
    /** @type {Set<() => void>} */ this.views = new Set();
  }

  /** Follow the model from now on. @returns {() => void} how to stop */
  attach(model) {
    this.model = model;
    const handlers = TRAITS.map((trait) => [`change:${trait}`, () => this.follow(trait)]);
    for (const [event, handler] of handlers) model.on(event, handler);
    this.pairUp();
    this.keep();
    this.link = new Link(model, () => this.changed());
    this.link.say({ type: "hello" });
    return () => {
      this.link.close();
      for (const [event, handler] of handlers) model.off(event, handler);
    };
  }

  follow(trait) {
    if (trait === "unit" || trait === "picture") this.pairUp();
    if (trait === "projection") this.keep();
    this.changed();
  }

  /** Unit and picture come one after the other: until both are here the last two stay, and nothing flickers. */
  pairUp() {
    const [unit, picture] = [this.model.get("unit"), this.model.get("picture")];
    if (!unit?.key) this.pair = null;
    else if (unit.picture === picture?.id) this.pair = { unit, picture };
  }

  changed() {
    for (const redraw of this.views) redraw();
  }

  /** Keep a projection beside those by other methods, as long as they are of the same value. */
  keep() {
    const sent = this.model.get("projection");
    if (!sent?.key) return this.projections.clear();
    for (const [method, kept] of this.projections) {
      const moved = !kept.error && !sent.error && (kept.y !== sent.y || kept.x !== sent.x);
      if (kept.key !== sent.key || moved) this.projections.delete(method);
    }
    this.projections.set(sent.method, sent);
  }

  /** @param {"mask" | "projection" | "filter"} name @returns {Part} */
  part(name) {
    const unit = this.pair?.unit;
    const { model } = this;
    const sent = name === "projection" ? this.projections.get(model.get("projection_method")) : model.get(name);
    if (unit && sent?.key === (name === "filter" ? unit.name : unit.key)) {
      return sent.error ? { state: "wrong", text: sent.error } : { state: "here", message: sent };
    }
    if (this.link.silent) return { state: "none", text: "not kept in this page" };
    if (unit?.live) return { state: "none", text: "when the camera stands still" };
    // Another method than the one that came is on its way: choosing it was asking for it.
    const asked = name === "projection" && [...this.projections.values()].some((other) => other.key === unit?.key);
    const coming = asked || unit?.coming.includes(name);
    return coming ? { state: "coming", text: "on its way…" } : { state: "none", text: "not asked for" };
  }
}

// ---------------------------------------------------------------------------------- what is on the page

class Card {
  constructor(model, el, parts) {
    this.model = model;
    this.el = el;
    this.parts = parts;
    this.frame = 0;
    /** @type {Map<string, any[]>} what each figure was last drawn from */ this.drawn = new Map();
    /** @type {Figure | null} the one that is seen large */ this.grown = null;
    this.build();
    this.redraw = () => this.schedule();
    parts.views.add(this.redraw);
    this.draw();
  }

  destroy() {
    this.parts.views.delete(this.redraw);
    cancelAnimationFrame(this.frame);
    for (const figure of Object.values(this.figures)) figure.close();
    this.code.close();
    this.el.classList.remove("cnnviz-host");
    this.el.replaceChildren();
  }

  build() {
    const { model } = this;
    this.title = make("h3", {});
    this.about = make("p", {});
    this.static = make("div", { className: "cnnviz-static", textContent: "static: no kernel answers" });
    const head = make("header", {}, make("div", {}, this.title, this.static), this.about);

    this.opacity = slider("Opacity");
    this.opacity.field.firstChild.title = "Of the map over the picture";
    const { input } = this.opacity;
    input.addEventListener("input", () => change(model, { opacity: input.valueAsNumber / 100 }));
    const options = Object.entries(METHODS).map(([value, textContent]) => make("option", { value, textContent }));
    this.method = make("select", { title: "How the unit is projected back to the picture" }, ...options);
    this.method.setAttribute("aria-label", "Projection");
    this.method.addEventListener("change", () => change(model, { projection_method: this.method.value }));
    this.cut = make("span", {});
    this.weights = make("span", {});
    const grow = (figure) => this.grow(figure === this.grown ? null : figure);
    this.figures = {
      map: new Figure("map", grow, this.opacity.field),
      mask: new Figure("mask", grow, this.cut),
      projection: new Figure("projection", grow, this.method),
      filter: new Figure("filter", grow, this.weights),
    };
    const figures = Object.values(this.figures).map((figure) => figure.element);
    this.grid = make("div", { className: "cnnviz-figures" }, ...figures);

    this.numbers = make("table", { className: "cnnviz-numbers" });
    this.chart = make("div", { className: "cnnviz-chart" });
    this.patches = make("div", { className: "cnnviz-patches" });
    this.look = new Look((stop) => this.parts.link.say({ type: "look", stop }));
    this.code = new CodeBox();
    this.hint = make("p", { className: "cnnviz-hint", textContent: "Choose a channel to see what it is about." });
    this.body = make("div", {}, this.grid, this.numbers, this.chart, this.look.element, this.patches, this.code.element);
    this.root = make("section", { className: "cnnviz cnnviz-card" }, head, this.hint, this.body);
    this.root.setAttribute("aria-label", "Unit card");
    this.root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.grown) return;
      event.preventDefault();
      event.stopPropagation();
      this.grow(null);
    });
    keepKeys(this.root);
    this.el.classList.add("cnnviz-host");
    this.el.replaceChildren(this.root);
  }

  /** See one figure over the whole width, or none. @param {Figure | null} figure */
  grow(figure) {
    this.grown?.large(false);
    this.grown = figure;
    this.grid.classList.toggle("cnnviz-grown", Boolean(figure));
    figure?.large(true);
  }

  schedule() {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const unit = this.parts.pair?.unit;
    this.static.hidden = !this.parts.link.silent;
    this.hint.hidden = Boolean(unit);
    this.body.hidden = !unit;
    if (!unit) {
      put(this.title, "No unit");
      put(this.about, "");
      return;
    }
    const [count, height, width] = unit.size;
    put(this.title, `${unit.layer} · channel ${unit.channel}`);
    put(this.about, [unit.kind, `${count} maps of ${height}×${width}`, unit.field].filter(Boolean).join(" · "));
    this.opacity.show(this.model.get("opacity"));
    this.method.value = this.model.get("projection_method");
    this.drawFigures(unit);
    this.once("numbers", [unit], () => this.drawNumbers(unit.statistics));
    this.once("patches", [unit.name, this.model.get("patches")], () => this.drawPatches(unit));
    const look = [unit, this.model.get("look"), this.parts.link.silent];
    this.once("look", look, () => this.look.show(...look));
    this.code.show(this.model.get("code"));
  }

  /** Draw something again only when what it is made from is another. */
  once(name, from, draw) {
    const before = this.drawn.get(name);
    if (before && before.length === from.length && from.every((value, i) => value === before[i])) return;
    this.drawn.set(name, from);
    draw();
  }

  drawFigures(unit) {
    const { picture } = this.parts.pair;
    const opacity = this.model.get("opacity");
    const tables = this.model.get("tables");
    const seen = [unit, picture, opacity, tables];
    this.once("map", seen, () => this.figures.map.show(mapFigure(unit, picture, opacity, tables)));
    const draw = (name, from, make) => {
      const part = this.parts.part(name);
      this.once(name, [part.state, part.message ?? part.text, ...from], () => {
        const { words, ...what } = make(part);
        const state = part.state === "here" ? {} : { note: part.text, wrong: part.state === "wrong" };
        this.figures[name].show({ ...what, ...state });
        this.figures[name].element.setAttribute("aria-busy", String(part.state === "coming"));
        if (name !== "projection") put({ mask: this.cut, filter: this.weights }[name], words ?? "");
      });
    };
    const method = this.model.get("projection_method");
    draw("mask", [picture], (part) => maskFigure(part.message, picture));
    draw("projection", [method], (part) => projectionFigure(part.message, method));
    draw("filter", [tables], (part) => filterFigure(part.message, tables));
  }

  drawNumbers(found) {
    const { channels, rank } = found;
    const rows = [
      ["maximum", `${number(found.maximum)} at y ${found.y}, x ${found.x}`],
      ["mean", number(found.mean)],
      ["zeros", found.zeros === null ? "no value" : `${percent(found.zeros)} of its values are exactly 0`],
      ["dead", found.dead ? "yes: nothing above zero on this picture" : "no: some values are above zero"],
      ["rank", rank ? `${ordinal(rank)} of ${channels} by maximum` : "no value"],
    ];
    const line = ([name, text]) => {
      const head = make("th", { textContent: name });
      head.scope = "row";
      return make("tr", {}, head, make("td", { textContent: text }));
    };
    this.numbers.replaceChildren(make("tbody", {}, ...rows.map(line)));
    this.numbers.setAttribute("aria-label", "Numbers of this channel on this picture");
    const chart = histogram(found.counts, found.bin);
    const words = `Maxima of the ${channels} channels, ${say(found.lo, 3)} to ${say(found.hi, 3)}`;
    chart.setAttribute("role", "img");
    chart.setAttribute("aria-label", `${words}; of this one ${number(found.maximum)}`);
    const ends = make("span", {}, ...[found.lo, found.hi].map((value) => make("span", { textContent: say(value, 3) })));
    const caption = make("span", { textContent: `maxima of all ${channels} channels; this one's bar is marked` });
    this.chart.replaceChildren(chart, ends, caption);
    this.chart.hidden = channels < 2;
  }

  drawPatches(unit) {
    const sent = this.model.get("patches");
    const mine = sent?.key === unit.name && sent.pictures.length > 0;
    this.patches.hidden = !mine;
    const pictures = mine ? sent.pictures : [];
    const each = (shown) => {
      const canvas = offscreen(pixelsOf(bytesOf(shown.data), shown.width, shown.height));
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", shown.caption || "patch");
      return make("figure", { title: shown.caption }, canvas, make("figcaption", { textContent: shown.caption }));
    };
    const head = make("h4", { textContent: "Strongest patches" });
    this.patches.replaceChildren(head, make("div", {}, ...pictures.map(each)));
  }
}

// ---------------------------------------------------------------------------------- words

/** A number, which JSON carries as null when it is none. */
const number = (value) => (value === null ? "no value" : say(value));

function ordinal(n) {
  const ending = n % 100 > 10 && n % 100 < 14 ? "th" : ["th", "st", "nd", "rd"][n % 10] ?? "th";
  return `${n}${ending}`;
}
