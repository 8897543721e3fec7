/**
 * The front end of UnitCard: everything about one channel on one picture.
 *
 * `Parts` belongs to the model: it knows which parts belong to the unit on the screen, and keeps its projections by
 * method. `Card` belongs to one place on the page and draws everything anew from the model when something changes.
 *
 * @typedef {{ state: "here" | "wrong" | "coming" | "none", message?: any, text?: string }} Part
 */

import { histogram, signedBars } from "./front/charts.js";
import { CodeBox } from "./front/copying.js";
import { keepKeys, make, put, slider } from "./front/elements.js";
import { Figure } from "./front/figure.js";
import { bytesOf, change, Link } from "./front/link.js";
import { coloured, dim, layOver, offscreen, pixelsOf, placed } from "./front/paint.js";
import { say } from "./front/words.js";

const TRAITS = [
  "picture", "unit", "mask", "projection", "filter", "patches", "projection_method", "opacity", "code", "tables",
];
const METHODS = { deconvnet: "deconvnet", guided_backprop: "guided backprop", saliency: "saliency" };
const NO_VALUE = 65535;

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
    /** @type {Map<string, any>} the projections that came for one unit, by method */ this.projections = new Map();
    /** @type {Set<() => void>} */ this.views = new Set();
  }

  /** Follow the model from now on. @returns {() => void} how to stop */
  attach(model) {
    this.model = model;
    const handlers = TRAITS.map((trait) => [`change:${trait}`, () => this.follow(trait)]);
    for (const [event, handler] of handlers) model.on(event, handler);
    this.keep();
    this.link = new Link(model, () => this.changed());
    this.link.say({ type: "hello" });
    return () => {
      this.link.close();
      for (const [event, handler] of handlers) model.off(event, handler);
    };
  }

  follow(trait) {
    if (trait === "projection") this.keep();
    this.changed();
  }

  changed() {
    for (const redraw of this.views) redraw();
  }

  keep() {
    const sent = this.model.get("projection");
    if (!sent?.key) return this.projections.clear();
    const [any] = this.projections.values();
    if (any && any.key !== sent.key) this.projections.clear();
    this.projections.set(sent.method, sent);
  }

  /** The unit on the screen, once its picture is here too. */
  unit() {
    const unit = this.model.get("unit");
    return unit?.key && this.model.get("picture")?.id === unit.picture ? unit : null;
  }

  /** @param {"mask" | "projection" | "filter"} name @returns {Part} */
  part(name) {
    const unit = this.unit();
    const sent = name === "projection" ? this.projections.get(this.model.get("projection_method")) : this.model.get(name);
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
    this.opacity.input.addEventListener("input", () => change(model, { opacity: this.opacity.input.valueAsNumber / 100 }));
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
    this.code = new CodeBox();
    this.hint = make("p", { className: "cnnviz-hint", textContent: "Choose a channel to see what it is about." });
    this.body = make("div", {}, this.grid, this.numbers, this.chart, this.patches, this.code.element);
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
    const unit = this.parts.unit();
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
    const picture = this.model.get("picture");
    const opacity = this.model.get("opacity");
    const tables = this.model.get("tables");
    this.once("map", [unit, picture, opacity, tables], () => this.figures.map.show(mapFigure(unit, picture, opacity, tables)));
    const draw = (name, from, make) => {
      const part = this.parts.part(name);
      this.once(name, [part.state, part.message ?? part.text, ...from], () => {
        const { words, ...what } = make(part);
        const state = part.state === "here" ? {} : { note: part.text, wrong: part.state === "wrong" };
        this.figures[name].show({ ...what, ...state });
        this.figures[name].element.setAttribute("aria-busy", String(part.state === "coming"));
        if (name !== "projection") put({ mask: this.cut, filter: this.weights }[name], words ?? "");
        if (part.state !== "here" && this.grown === this.figures[name]) this.grow(null);
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
    this.patches.replaceChildren(make("h4", { textContent: "Strongest patches" }), make("div", {}, ...pictures.map(each)));
  }
}

// ---------------------------------------------------------------------------------- the four figures

function mapFigure(unit, picture, opacity, tables) {
  const { map } = unit;
  const [height, width] = map.shape;
  const values = valuesOf(map);
  const on = placed({ values, width, height }, unit.rows, unit.columns, picture.width, picture.height);
  const table = bytesOf(tables[map.signed ? "diverging" : "sequential"]);
  const image = layOver(pixelsOf(bytesOf(picture.data), picture.width, picture.height), on, map, table, opacity);
  return {
    pieces: [{ picture: offscreen(image) }],
    caption: `map, ${say(map.lo, 3)} to ${say(map.hi, 3)}`,
    title: "What this channel answers at each place, in colours over the picture that the network saw; " +
      "each value lies in the middle of what it sees.",
  };
}

function maskFigure(message, picture) {
  const about = {
    caption: "strongest region",
    title: "Where this channel answers most strongly; the rest of the picture is dimmed.",
  };
  if (!message) return about;
  const top = message.quantile ? `top ${percent(1 - message.quantile)}` : about.caption;
  const above = message.threshold === undefined ? "" : `, above ${say(message.threshold, 3)}`;
  const bits = bytesOf(message.bits);
  const { width, height } = picture;
  const inside = (i) => {
    // The mask may be finer than the picture, or coarser.
    const x = Math.floor((((i % width) + 0.5) * message.width) / width);
    const y = Math.floor(((Math.floor(i / width) + 0.5) * message.height) / height);
    const at = y * message.width + x;
    return ((bits[at >> 3] >> (7 - (at & 7))) & 1) === 1;
  };
  return {
    ...about,
    caption: `${top}${above}`,
    pieces: [{ picture: offscreen(dim(pixelsOf(bytesOf(picture.data), width, height), inside)) }],
    words: `${percent(message.share)} of the picture`,
  };
}

function projectionFigure(message, method) {
  const about = {
    caption: "projection",
    title: `What in its receptive field makes one value of this channel: its signal led back to the pixels by ` +
      `${METHODS[method]} (grey: nothing), beside the patch itself.`,
  };
  if (!message) return about;
  const pieces = [["values", "projection"], ["patch", "patch"]].map(([name, label]) => {
    const { data, width, height } = message[name];
    return { picture: offscreen(pixelsOf(bytesOf(data), width, height)), label };
  });
  const [x0, y0, x1, y1] = message.box;
  const place = `y ${message.y}, x ${message.x}`;
  const off = message.activation === 0 ? " It is off here, so there is nothing to lead back." : "";
  const plain = message.rectified ? "" : " No rectifier lies below it, so all methods agree: this is its kernel.";
  const sees = `it sees the pixels x ${x0} to ${x1 - 1}, y ${y0} to ${y1 - 1}.`;
  return {
    ...about,
    caption: off ? `off at ${place}` : `projection of ${place}`,
    title: `${about.title} The value is ${say(message.activation)}; ${sees}${off}${plain}`,
    pieces,
  };
}

function filterFigure(message, tables) {
  if (!message) return { caption: "filter", title: "The weights that make this channel." };
  const [count, height, width] = message.shape;
  const size = `${height}×${width}`;
  const words = `norm ${say(message.norm, 3)}`;
  if (message.kind === "rgb") {
    return {
      caption: `${size} filter, in colour`,
      title: "The weights as colours about grey: reddish where red speaks for it, grey where the weights are zero.",
      pieces: [{ picture: offscreen(pixelsOf(bytesOf(message.data), message.width, message.height)) }],
      words,
    };
  }
  if (message.kind === "bars") {
    return {
      caption: `1×1 filter, ${count} weight${count > 1 ? "s" : ""}`,
      title: "One weight for each input channel, from first to last, up and red above zero, down and blue below; " +
        "where there are many, a bar spans those of its neighbours.",
      pieces: [{ element: signedBars(message.lows, message.highs, message.limit) }],
      words: `±${say(message.limit, 3)}, ${words}`,
    };
  }
  const [rows, columns] = message.sides;
  const values = new Float32Array(bytesOf(message.values).slice().buffer);
  const scale = { lo: -message.limit, hi: message.limit, signed: true };
  const table = bytesOf(tables.diverging);
  const each = (channel, i) => {
    const kernel = values.subarray(i * rows * columns, (i + 1) * rows * columns);
    const picture = offscreen(coloured(kernel, columns, rows, scale, table));
    return { picture, title: `input channel ${channel}` };
  };
  const shown = message.channels.length;
  return {
    caption: `${shown < count ? `${shown} of ${count}` : count} kernel${count > 1 ? "s" : ""}, ${size}`,
    title: `The kernels over the input channels with the largest weights (${message.channels.join(", ")}), strongest ` +
      "first: red speaks for it, blue against it, all on one scale.",
    pieces: message.channels.map(each),
    words: `±${say(message.limit, 3)}, ${words}`,
  };
}

/** @returns {Float32Array} */
function valuesOf({ levels, lo, hi }) {
  const steps = new Uint16Array(bytesOf(levels).slice().buffer); // A copy: a buffer may start anywhere.
  return Float32Array.from(steps, (step) => (step === NO_VALUE ? NaN : lo + (step / (NO_VALUE - 1)) * (hi - lo)));
}

// ---------------------------------------------------------------------------------- words

const number = (value) => (value === null ? "no value" : say(value));

/** A share as a percentage; what is a little is never said to be nothing, nor nearly all to be all. */
function percent(share) {
  const hundredths = 100 * share;
  if (hundredths > 0 && hundredths < 0.1) return "under 0.1 %";
  if (hundredths < 100 && hundredths > 99.9) return "over 99.9 %";
  return `${Number(hundredths.toFixed(hundredths < 10 || hundredths > 90 ? 1 : 0))} %`;
}

function ordinal(n) {
  const ending = n % 100 > 10 && n % 100 < 14 ? "th" : ["th", "st", "nd", "rd"][n % 10] ?? "th";
  return `${n}${ending}`;
}
