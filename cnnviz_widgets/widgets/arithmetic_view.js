/**
 * The front end of ArithmeticView: one sum as a table, a row for each input channel, numbers on their colours.
 *
 * It remembers nothing: whenever something changes, everything is made anew from the model.
 */

import { Cells } from "./front/cells.js";
import { Density } from "./front/density.js";
import { keepKeys, make, put } from "./front/elements.js";
import { bytesOf, change, Link } from "./front/link.js";
import { say } from "./front/words.js";

const TRAITS = ["shown", "note", "pinned", "tables"];
const HINT = "Point at a value of a convolution's map to see the sum that made it.";
const FILLED = {
  zeros: "filled with 0", reflect: "mirrored", replicate: "the edge repeated", circular: "the opposite edge",
};

/** One of these for every model: anywidget calls the default export once for each. */
export default () => {
  /** @type {Set<() => void>} */ const views = new Set();
  const changed = () => views.forEach((redraw) => redraw());
  let link = null;
  return {
    initialize({ model }) {
      for (const trait of TRAITS) model.on(`change:${trait}`, changed);
      link = new Link(model, changed);
      link.say({ type: "hello" });
      return () => {
        link.close();
        for (const trait of TRAITS) model.off(`change:${trait}`, changed);
      };
    },
    render({ model, el }) {
      const view = new SumView(model, el, link);
      const redraw = () => view.schedule();
      views.add(redraw);
      return () => {
        views.delete(redraw);
        view.destroy();
      };
    },
  };
};

class SumView {
  constructor(model, el, link) {
    this.model = model;
    this.el = el;
    this.link = link;
    this.frame = 0;
    this.drawn = null; // What the rows were made of.
    this.density = new Density(() => this.schedule());
    this.build();
    this.draw();
  }

  destroy() {
    cancelAnimationFrame(this.frame);
    this.density.close();
    this.el.classList.remove("cnnviz-host");
    this.el.replaceChildren();
  }

  build() {
    const { model } = this;
    this.title = make("h3", {});
    this.static = make("div", { className: "cnnviz-static", textContent: "static: no kernel answers" });
    this.pin = make("button", { type: "button", className: "cnnviz-pin" });
    this.pin.addEventListener("click", () => change(model, { pinned: !model.get("pinned") }));
    this.sum = make("p", { className: "cnnviz-sum" });
    this.place = make("p", { className: "cnnviz-place-words" });
    this.hint = make("p", { className: "cnnviz-why" });
    this.rows = make("div", { className: "cnnviz-rows", tabIndex: 0 });
    this.rows.setAttribute("role", "region");
    this.rows.setAttribute("aria-label", "Contributions of the input channels");
    const tools = make("div", {}, this.static, this.pin);
    const head = make("header", {}, this.title, tools);
    this.root = make(
      "section", { className: "cnnviz cnnviz-arithmetic" }, head, this.hint, this.sum, this.place, this.rows,
    );
    this.root.setAttribute("aria-label", "Arithmetic of one value");
    keepKeys(this.root);
    this.el.classList.add("cnnviz-host");
    this.el.replaceChildren(this.root);
  }

  schedule() {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const { model } = this;
    const pinned = model.get("pinned");
    this.pin.setAttribute("aria-pressed", String(pinned));
    put(this.pin, pinned ? "Pinned" : "Following");
    this.pin.title = pinned ? "Follow what is pointed at again" : "Keep this sum, whatever is pointed at";
    this.static.hidden = !this.link.silent;
    const shown = model.get("shown");
    const any = Boolean(shown?.layer);
    for (const element of [this.sum, this.place, this.rows]) element.hidden = !any;
    this.hint.hidden = any;
    put(this.hint, model.get("note") || HINT);
    put(this.title, any ? titleOf(shown) : "Arithmetic");
    if (!any) {
      this.drawn = null;
      return;
    }
    const now = [shown, model.get("tables"), this.link.silent, this.density.now()];
    if (this.drawn && now.every((value, i) => value === this.drawn[i])) return;
    const focused = this.rows.contains(document.activeElement) && document.activeElement !== this.rows;
    this.drawn = now;
    this.sum.replaceChildren(...sumOf(shown));
    put(this.place, placeOf(shown));
    this.rows.replaceChildren(this.table(shown));
    keepKeys(this.rows);
    if (focused) (this.rows.querySelector("button") ?? this.rows).focus({ preventScroll: true });
  }

  table(shown) {
    const tables = this.model.get("tables");
    const [sequential, diverging] = [bytesOf(tables.sequential), bytesOf(tables.diverging)];
    const { input_scale: scale, kernel_limit: most, product_limit: largest, shape } = shown;
    const [, height, width] = shape;
    const symmetric = (limit) => ({ lo: -limit, hi: limit, signed: true });
    const everywhere = shown.inside.map(() => true); // A weight is a weight, whatever it lies on.
    const kinds = [
      { name: "input", scale, table: scale.signed ? diverging : sequential },
      { name: "kernel", scale: symmetric(most), table: diverging },
      { name: "products", scale: symmetric(largest), table: diverging },
    ].map((kind) => new Cells(kind, width, height, kind.name === "kernel" ? everywhere : shown.inside));
    const inputs = floats(shown.inputs);
    const kernel = floats(shown.kernel);
    const { names, rest } = shown;
    const contributions = shown.contributions.map(real);
    const [other, bias, total] = [shown.rest_sum, shown.bias, shown.total].map(real);
    const known = [...contributions, rest ? other : 0, bias].map(Math.abs).filter(Number.isFinite);
    const reach = Math.max(0, ...known) || 1;

    const size = width * height;
    const rows = names.map((name, i) => {
      const [given, weights] = [inputs, kernel].map((all) => all.subarray(i * size, (i + 1) * size));
      const products = given.map((value, j) => value * weights[j]);
      const [patch, by, made] = [given, weights, products].map((values, j) => kinds[j].draw(values));
      const sign = (textContent) => make("td", { className: "cnnviz-sign", textContent });
      const cell = (inside) => make("td", {}, inside);
      const head = make("th", { scope: "row", textContent: name });
      head.title = shown.colours ? `the picture's ${name}` : `input channel ${name}`;
      const sum = worth(contributions[i], reach);
      return make("tr", {}, head, cell(patch), sign("×"), cell(by), sign("="), spare(cell(made)), sum);
    });
    const line = (className, value, ...words) => {
      const head = make("th", { scope: "row", colSpan: 5 }, ...words);
      const sum = worth(value, className === "cnnviz-total" ? null : reach);
      return make("tr", { className }, head, spare(make("td", {})), sum);
    };
    const feet = [line("cnnviz-bias", bias, "bias"), line("cnnviz-total", total, "total")];
    const more = `and ${rest} more channel${rest > 1 ? "s" : ""}`;
    if (rest) feet.unshift(line("cnnviz-rest", other, this.more(shown), more));
    const [a, b, c] = kinds.map((kind) => make("th", { scope: "col" }, kind.legend()));
    const first = make("th", { scope: "col", textContent: shown.colours ? "colour" : "channel" });
    const last = make("th", { scope: "col", textContent: "sum" });
    const head = make("tr", {}, first, a, make("td", {}), b, make("td", {}), spare(c), last);
    const dense = width > 3 && kinds[0].readable ? "cnnviz-dense" : "";
    const parts = [make("thead", {}, head), make("tbody", {}, ...rows), make("tfoot", {}, ...feet)];
    return make("table", { className: dense }, ...parts);
  }

  more(shown) {
    const button = make("button", { type: "button", textContent: "more" });
    button.title = this.link.silent ? "Not kept in this page" : "Show the next ones too";
    button.disabled = this.link.silent;
    const count = 2 * shown.names.length;
    button.addEventListener("click", () => this.link.say({ type: "more", number: shown.number, count }));
    return button;
  }
}

/** A cell of the products, which can be done without where the page is narrow: patch and kernel say it too. */
function spare(cell) {
  cell.classList.add("cnnviz-spare");
  return cell;
}

/** A sum as a number and as a bar, to the right above zero and to the left below; no bar without a reach. */
function worth(value, reach) {
  const bar = make("span", { className: value < 0 ? "cnnviz-below" : "cnnviz-above" });
  const axis = make("span", { className: "cnnviz-axis", hidden: reach === null }, bar);
  if (reach !== null) bar.style.width = `${(50 * Math.abs(value)) / reach}%`;
  axis.setAttribute("aria-hidden", "true");
  return make("td", {}, make("span", { className: "cnnviz-worth" }, make("data", { textContent: say(value) }), axis));
}

/** @returns {Float32Array} */
const floats = (data) => new Float32Array(bytesOf(data).slice().buffer); // A copy: a buffer may start anywhere.

/** What JSON could not carry comes as null. */
const real = (value) => value ?? NaN;

// ---------------------------------------------------------------------------------- words

function titleOf({ layer, channel, y, x }) {
  return `${layer} · channel ${channel}${y === null ? "" : ` at y ${y}, x ${x}`}`;
}

/** The sum as a sentence: its numbers are those of the table. */
function sumOf({ shape, contributions, rest_sum, bias, total, value, colours }) {
  const over = contributions.reduce((sum, each) => sum + real(each), real(rest_sum));
  const number = (amount) => make("b", { textContent: say(real(amount)) });
  const what = colours ? "colour" : "input channel";
  const channels = `${shape[0]} ${what}${shape[0] > 1 ? "s" : ""}`;
  const apart = Math.abs(real(total) - real(value));
  const agree = apart ? `they agree to ${say(apart, 1)}` : "they agree exactly";
  return [
    `patch × kernel, summed over ${channels}, is `, number(over), " + bias ", number(bias), " = ", number(total),
    "; the network put out ", number(value), `: ${agree}.`,
  ];
}

/** Where on its input the kernel lay, and how much of it on padding. */
function placeOf({ corner: [top, left], dilation, shape: [, height, width], inside, padding }) {
  if (top === null) return "";
  const span = (first, cells, gap) => (cells === 1 ? `${first}` : `${first} to ${first + (cells - 1) * gap}`);
  const rows = `row${height > 1 ? "s" : ""} ${span(top, height, dilation[0])}`;
  const columns = `column${width > 1 ? "s" : ""} ${span(left, width, dilation[1])}`;
  const steps = dilation[0] === dilation[1] ? dilation[0] : dilation.join("×");
  const gap = Math.max(...dilation) > 1 ? `, every ${steps}` : "";
  const outside = inside.filter((within) => !within).length;
  const words = `The kernel lies on ${rows}, ${columns}${gap} of its input.`;
  if (!outside) return words;
  const cells = `${outside} of its ${height * width} cells ${outside > 1 ? "are" : "is"} padding`;
  return `${words} ${cells} (hatched), ${FILLED[padding] ?? padding}.`;
}
