/**
 * The front end of FilterCard: a filter's kernels, its spectrum with the square of its stride, its numbers.
 *
 * It remembers nothing: whenever something changes, everything is made anew from the model. The pictures have fixed
 * sizes, so it does not matter whether the page is seen while they are drawn.
 */

import { level } from "./front/colours.js";
import { Density } from "./front/density.js";
import { make, put } from "./front/elements.js";
import { bytesOf, Link } from "./front/link.js";
import { coloured, drawSharp, offscreen } from "./front/paint.js";
import { say } from "./front/words.js";

const TRAITS = ["shown", "note", "tables"];
const SPECTRUM = 196; // Its side in CSS pixels, about.
const KERNELS = 120; // The side of all kernels together, at most.
const GAP = 4; // Between kernels.

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
      const view = new CardView(model, el);
      const redraw = () => view.schedule();
      views.add(redraw);
      return () => {
        views.delete(redraw);
        view.destroy();
      };
    },
  };
};

class CardView {
  constructor(model, el) {
    this.model = model;
    this.el = el;
    this.frame = 0;
    this.density = new Density(() => this.schedule());
    this.title = make("h3", {});
    this.body = make("div", { className: "cnnviz-filter-body" });
    this.hint = make("p", { className: "cnnviz-hint", textContent: "No filter yet." });
    this.root = make("section", { className: "cnnviz cnnviz-filter-card" }, this.title, this.hint, this.body);
    this.root.setAttribute("aria-label", "Filter and spectrum");
    el.classList.add("cnnviz-host");
    el.replaceChildren(this.root);
    this.draw();
  }

  destroy() {
    cancelAnimationFrame(this.frame);
    this.density.close();
    this.el.classList.remove("cnnviz-host");
    this.el.replaceChildren();
  }

  schedule() {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.density.now();
    const shown = this.model.get("shown");
    const tables = this.model.get("tables");
    const any = Boolean(shown?.title);
    this.hint.hidden = any;
    put(this.title, any ? shown.title : "");
    if (!any) return void this.body.replaceChildren();
    const note = this.model.get("note");
    const parts = [];
    if (shown.kernels.shape) parts.push(kernelsOf(shown.kernels, bytesOf(tables.diverging)));
    if (shown.spectrum.cells) parts.push(spectrumOf(shown.spectrum, bytesOf(tables.sequential)));
    else if (note) parts.push(make("p", { className: "cnnviz-hint", textContent: note }));
    parts.push(numbersOf(shown.numbers));
    this.body.replaceChildren(...parts);
  }
}

// ---------------------------------------------------------------------------------- kernels

/** All kernels on one scale, as many in a row as make a square of them. */
function kernelsOf({ shape: [count, height, width], color, names, words, limit, data }, table) {
  const values = floatsOf(data);
  const size = height * width;
  const pictures = color
    ? [offscreen(attribution(values, width, height, limit))]
    : Array.from({ length: count }, (_, i) => {
        const scale = { lo: -limit, hi: limit, signed: true };
        return offscreen(coloured(values.subarray(i * size, (i + 1) * size), width, height, scale, table));
      });
  const columns = Math.ceil(Math.sqrt(pictures.length));
  const rows = Math.ceil(pictures.length / columns);
  const room = KERNELS - GAP * (columns - 1);
  const zoom = Math.max(1, Math.floor(Math.min(room / columns / width, (KERNELS - GAP * (rows - 1)) / rows / height)));
  const grid = make("div", { className: "cnnviz-kernels" });
  grid.style.gridTemplateColumns = `repeat(${columns}, max-content)`;
  for (const [i, picture] of pictures.entries()) {
    const canvas = make("canvas", {});
    drawSharp(canvas, picture, width * zoom, height * zoom);
    grid.append(make("span", {}, canvas, ...(names[i] ? [make("small", { textContent: names[i] })] : [])));
  }
  const range = color ? `full colour ±${say(limit, 2)}` : `blue −${say(limit, 2)}, white 0, red ${say(limit, 2)}`;
  const caption = make("figcaption", {}, ...(words ? [words, make("br", {})] : []), range);
  const figure = make("figure", {}, grid, caption);
  figure.setAttribute("role", "img");
  figure.setAttribute("aria-label", `weights: ${words || `${count} kernels`}, ${range}`);
  return figure;
}

/** Three planes about mid grey, as color_attribution in views/colour.py. */
function attribution(values, width, height, limit) {
  const image = new ImageData(width, height);
  const size = width * height;
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = level(values[c * size + i], limit, true);
    image.data[4 * i + 3] = 255;
  }
  return image;
}

// ---------------------------------------------------------------------------------- spectrum

/** The power from -0.5 to 0.5 cycles per pixel, with ticks and the square that the stride can carry. */
function spectrumOf({ cells, middle, size, reach, most, data }, table) {
  const values = floatsOf(data);
  const zoom = Math.max(1, Math.round(SPECTRUM / cells));
  const side = cells * zoom;
  const canvas = make("canvas", {});
  drawSharp(canvas, offscreen(coloured(values, cells, cells, { lo: 0, hi: most, signed: false }, table)), side, side);
  const at = (cycles) => (middle + 0.5 + cycles * size) * zoom; // CSS pixels from the left or the top
  const field = make("div", { className: "cnnviz-spectrum" }, canvas);
  Object.assign(field.style, { width: `${side}px`, height: `${side}px` });
  const [down, across] = reach;
  if (down < 0.5 || across < 0.5) {
    const square = make("div", { className: "cnnviz-nyquist", title: "what the stride can carry; beyond it aliases" });
    const edge = (cycles) => Math.min(side, Math.max(0, at(cycles)));
    Object.assign(square.style, {
      left: `${edge(-across)}px`, width: `${edge(across) - edge(-across)}px`,
      top: `${edge(-down)}px`, height: `${edge(down) - edge(-down)}px`,
    });
    field.append(square);
  }
  for (const [limit, axis] of [[across, "left"], [down, "top"]]) {
    // Numbers that would run into each other are left out.
    const near = (apart) => limit < 0.5 && apart * side < (axis === "left" ? 44 : 14);
    const inner = [...(near(2 * limit) ? [] : [-limit]), ...(near(limit) ? [] : [0]), limit];
    for (const cycles of new Set([-0.5, ...inner, 0.5])) {
      const tick = make("span", { className: `cnnviz-tick cnnviz-${axis}`, textContent: say(cycles, 3).replace("-", "−") });
      tick.style[axis] = `${at(cycles)}px`;
      field.append(tick);
    }
  }
  const readout = make("span", { className: "cnnviz-power", textContent: `power, black 0 to ${say(most, 3)}` });
  const usual = readout.textContent;
  canvas.addEventListener("pointermove", ({ offsetX, offsetY }) => {
    const [x, y] = [offsetX, offsetY].map((place) => Math.min(cells - 1, Math.max(0, Math.floor(place / zoom))));
    const [fx, fy] = [x, y].map((cell) => say((cell - middle) / size, 2).replace("-", "−"));
    put(readout, `across ${fx}, down ${fy}: ${say(values[y * cells + x], 3)}`);
  });
  canvas.addEventListener("pointerleave", () => put(readout, usual));
  const figure = make("figure", { className: "cnnviz-with-ticks" }, field,
    make("figcaption", {}, "cycles per pixel", make("br", {}), readout));
  canvas.setAttribute("role", "img");
  const carried = across < 0.5 || down < 0.5 ? `; the stride carries up to ${across} across, ${down} down` : "";
  canvas.setAttribute("aria-label", `power spectrum, −0.5 to 0.5 cycles per pixel${carried}`);
  return figure;
}

/** @param {string[][]} rows */
function numbersOf(rows) {
  const line = ([what, value, layer]) => [
    make("dt", { textContent: what }),
    make("dd", {}, make("b", { textContent: value }), ...(layer ? [make("small", { textContent: layer })] : [])),
  ];
  return make("dl", {}, ...rows.flatMap(line));
}

/** @returns {Float32Array} */
const floatsOf = (data) => new Float32Array(bytesOf(data).slice().buffer); // A copy: a buffer may start anywhere.
