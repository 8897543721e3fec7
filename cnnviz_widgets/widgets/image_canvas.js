/**
 * The front end of ImageCanvas: a picture, a map laid over it in colours, and the value under the cursor.
 *
 * `Maps` belongs to the model: it remembers the maps that came and says which one is wanted. `View` belongs to one place
 * on the page: it holds the elements and draws everything anew from the model whenever something changes. Between them
 * stand plain functions: numbers to pixels, numbers to words. Colours are values looked up in the tables that the kernel
 * sends, by the formula of cnnviz_widgets/views/colour.py.
 *
 * @typedef {{ width: number, height: number, rgb: Uint8Array, id: string }} Picture
 * @typedef {{ key: string, width: number, height: number, values: Float32Array, lo: number, hi: number, signed: boolean,
 *   color: boolean, label: string, unit: string, picture: string }} CanvasMap  values: row by row, one or three planes
 * @typedef {import("./front/colours.js").Scale} Scale
 * @typedef {{ x: number, y: number }} Spot  a pixel of the picture
 */

import { ColourBar } from "./front/bar.js";
import { ColourMenu } from "./front/colour_menu.js";
import { indexOf, level, scaleOf } from "./front/colours.js";
import { Density } from "./front/density.js";
import { clamp, keepKeys, keysHelp, make, padlock, put, showLock, slider } from "./front/elements.js";
import { enlarge } from "./front/enlarge.js";
import { bytesOf, change, Link } from "./front/link.js";
import { Readout } from "./front/readout.js";
import { Report } from "./front/report.js";
import { say } from "./front/words.js";

const MAPS_KEPT = 64;
const LARGEST_FILE = 20_000_000;
const WANTED = ["context", "mode", "method"];
const TRAITS = [
  "picture", "incoming", "context", "mode", "method", "opacity", "threshold", "colormap", "scale", "locked", "cursor",
  "status", "error", "label", "zoom", "toolbar", "openable", "tables",
  "choices", "context_index", "mode_index", "method_index",
];

/** One of these for every model: anywidget calls the default export once for each. */
export default () => {
  const maps = new Maps();
  return {
    initialize: ({ model }) => maps.attach(model),
    render: ({ model, el }) => {
      const view = new View(model, el, maps);
      return () => view.destroy();
    },
  };
};

// ---------------------------------------------------------------------------------- what the model remembers

/** The maps that came, least recently seen first, and who has to redraw when something changes. */
class Maps {
  constructor() {
    /** @type {Map<string, CanvasMap>} */ this.kept = new Map();
    /** @type {Set<string>} keys that the kernel was asked for */ this.asked = new Set();
    /** @type {Set<(trait: string) => void>} */ this.views = new Set();
    this.first = 0;
  }

  /** Follow the model from now on. @returns {() => void} how to stop */
  attach(model) {
    const handlers = TRAITS.map((trait) => [`change:${trait}`, () => this.follow(model, trait)]);
    for (const [event, handler] of handlers) model.on(event, handler);
    this.take(model.get("incoming"));
    this.link = new Link(model, () => this.changed("silent"));
    this.link.say({ type: "hello" });
    // A new widget's map is on its way already; only a page that was loaded anew has to ask.
    this.first = setTimeout(() => this.ask(model), 500);
    return () => {
      this.link.close();
      clearTimeout(this.first);
      for (const [event, handler] of handlers) model.off(event, handler);
    };
  }

  /** The one place where a change of the model has consequences. */
  follow(model, trait) {
    if (trait === "incoming") this.take(model.get("incoming"));
    if (WANTED.includes(trait)) this.ask(model);
    for (const name of WANTED) {
      // A menu knows its choice by number; either side may move first.
      const choices = model.get("choices")[name] ?? [];
      const index = model.get(`${name}_index`);
      const at = choices.indexOf(model.get(name));
      if (trait === `${name}_index` && index in choices && index !== at) change(model, { [name]: choices[index] });
      if ((trait === name || trait === "choices") && at >= 0 && index !== at) change(model, { [`${name}_index`]: at });
    }
    // What failed may be asked for again, but only when somebody comes back to it: else a failing map asks for ever.
    if (trait === "status" && ["error", "stopped"].includes(model.get("status").state)) this.asked.clear();
    if (trait === "locked" && model.get("locked") && !model.get("scale")) {
      const map = this.shown(model);
      if (map) change(model, { scale: [map.lo, map.hi] });
    }
    this.changed(trait);
  }

  /** @param {string} trait */
  changed(trait) {
    for (const redraw of this.views) redraw(trait);
  }

  /** Keep a map that came; the one that was not seen for the longest time goes. */
  take(sent) {
    if (!sent || !sent.key) return;
    this.kept.delete(sent.key);
    this.kept.set(sent.key, mapOf(sent));
    this.asked.delete(sent.key);
    while (this.kept.size > MAPS_KEPT) this.kept.delete(this.kept.keys().next().value);
  }

  /** The map that is wanted, if it is here and belongs to the picture. @returns {CanvasMap | null} */
  shown(model) {
    const key = wanted(model);
    const map = this.kept.get(key);
    if (!map) return null;
    this.kept.delete(key);
    this.kept.set(key, map);
    const picture = model.get("picture");
    return map.picture && map.picture !== picture?.id ? null : map;
  }

  /** Ask the kernel for the wanted map, once. */
  ask(model) {
    const key = wanted(model);
    if (!model.get("method") || this.kept.has(key) || this.asked.has(key)) return;
    this.asked.add(key);
    this.link.say({ type: "need", key });
  }
}

const wanted = (model) => `${model.get("context")}|${model.get("mode")}|${model.get("method")}`;

/** @returns {CanvasMap} */
function mapOf(sent) {
  const [height, width] = sent.shape;
  const { key, lo, hi, signed, label = "", unit = "", picture = "" } = sent;
  const values = new Float32Array(bytesOf(sent.values).slice().buffer); // A copy: a buffer may start anywhere.
  return { key, width, height, values, lo, hi, signed, color: sent.kind === "color", label, unit, picture };
}

/** @returns {Picture | null} */
function pictureOf(sent) {
  if (!sent || !sent.width) return null;
  return { width: sent.width, height: sent.height, rgb: bytesOf(sent.data), id: sent.id };
}

// ---------------------------------------------------------------------------------- from numbers to pixels

/**
 * Picture and map as pixels; without a picture the map alone, on nothing.
 * @param {Picture | null} picture
 * @param {CanvasMap | null} map
 * @param {Float32Array | null} values the map on the frame
 * @param {{ scale: Scale, opacity: number, threshold: number, table: Uint8Array }} look
 */
function compose(picture, map, values, width, height, look) {
  const image = new ImageData(width, height);
  const out = image.data;
  const pixels = width * height;
  if (picture) {
    for (let i = 0; i < pixels; i++) {
      for (let c = 0; c < 3; c++) out[4 * i + c] = picture.rgb[3 * i + c];
      out[4 * i + 3] = 255;
    }
  }
  if (!map || !values) return image;
  const { lo, hi, signed } = look.scale;
  const cut = look.threshold * Math.max(Math.abs(lo), Math.abs(hi));
  const planes = map.color ? 3 : 1;
  const ink = [0, 0, 0];
  for (let i = 0; i < pixels; i++) {
    let magnitude = 0;
    for (let c = 0; c < planes; c++) magnitude = Math.max(magnitude, Math.abs(values[c * pixels + i])); // NaN stays NaN
    if (magnitude !== magnitude || magnitude < cut) continue;
    let alpha = 255;
    if (map.color) {
      for (let c = 0; c < 3; c++) ink[c] = level(values[c * pixels + i], hi, signed);
    } else {
      const entry = 4 * indexOf(values[i], lo, hi, signed);
      for (let c = 0; c < 3; c++) ink[c] = look.table[entry + c];
      alpha = look.table[entry + 3];
    }
    const share = Math.round(alpha * look.opacity) / 255;
    for (let c = 0; c < 3; c++) {
      out[4 * i + c] = picture ? out[4 * i + c] * (1 - share) + ink[c] * share : ink[c];
    }
    out[4 * i + 3] = picture ? 255 : 255 * share;
  }
  return image;
}

// ---------------------------------------------------------------------------------- from numbers to words

/**
 * What is at a pixel, as pairs of a name and a value.
 * @param {Spot} spot
 * @param {Picture | null} picture
 * @param {CanvasMap | null} map
 * @returns {[string, string][]}
 */
function read({ x, y }, picture, map, values, width, height) {
  const words = [["pixel", `x ${x}, y ${y}`]];
  const at = y * width + x;
  if (map && values) {
    const planes = map.color ? ["r", "g", "b"] : [""];
    const list = (source, size, place) =>
      planes.map((name, c) => `${name} ${say(source[c * size + place])}`.trim()).join(", ");
    words.push(["value", list(values, width * height, at) + (map.unit && ` ${map.unit}`)]);
    if (map.width !== width || map.height !== height) {
      const { column, row } = cellAt({ x, y }, map, width, height);
      const raw = list(map.values, map.width * map.height, row * map.width + column);
      words.push([`cell ${column},${row} of ${map.width}×${map.height}`, raw]);
    }
  }
  if (picture) words.push(["rgb", [...picture.rgb.subarray(3 * at, 3 * at + 3)].join(" ")]);
  return words;
}

/** The cell of a map that the middle of a pixel lies in. */
function cellAt({ x, y }, map, width, height) {
  return {
    column: Math.floor(((x + 0.5) * map.width) / width),
    row: Math.floor(((y + 0.5) * map.height) / height),
  };
}

// ---------------------------------------------------------------------------------- what is on the page

const HINT = "Move over the picture to read values.";
const KEYS = [
  ["← ↑ → ↓", "move the cross-hair (Shift: by 10)"], ["Enter", "choose the pixel"], ["+ −", "opacity"],
  ["[ ]", "threshold"], ["c", "next colours"], ["l", "lock the scale"], ["o", "open a picture"],
];

/** The elements of one view. Whatever happens, `draw` makes all of them show what the model says. */
class View {
  constructor(model, el, maps) {
    this.model = model;
    this.el = el;
    this.maps = maps;
    /** @type {Spot | null} under the mouse */ this.hover = null;
    /** @type {Spot | null} under the cross-hair */ this.cross = spotOf(model.get("cursor"));
    this.opening = ""; // The name of a file on its way to the kernel.
    this.problem = ""; // What this page itself has to complain about.
    this.frame = 0;
    this.painted = [];
    this.layer = document.createElement("canvas"); // Picture and map, one pixel for a pixel.
    this.build();
    this.listen();
    this.draw();
  }

  destroy() {
    this.maps.views.delete(this.redraw);
    this.resized.disconnect();
    clearTimeout(this.retry);
    this.density.close();
    cancelAnimationFrame(this.frame);
    this.el.classList.remove("cnnviz-host");
    this.el.replaceChildren();
  }

  build() {
    this.canvas = make("canvas", { tabIndex: 0, className: "cnnviz-pixels" });
    this.canvas.setAttribute("role", "application");
    this.canvas.setAttribute("aria-roledescription", "picture with a map");
    this.cell = make("div", { className: "cnnviz-cell", hidden: true });
    this.across = make("div", { className: "cnnviz-hair cnnviz-across", hidden: true });
    this.down = make("div", { className: "cnnviz-hair cnnviz-down", hidden: true });
    this.note = make("div", { className: "cnnviz-note", hidden: true });
    this.drop = make("div", { className: "cnnviz-drop", textContent: "Drop a picture to open it" });
    const overlays = [this.cell, this.across, this.down, this.note, this.drop];
    this.place = make("div", { className: "cnnviz-place" }, this.canvas, ...overlays);

    this.bar = new ColourBar();
    this.caption = make("div", { className: "cnnviz-caption" });
    this.static = make("div", { className: "cnnviz-static", textContent: "static: no kernel answers" });
    this.report = new Report({
      stop: () => {
        this.maps.link.say({ type: "stop" });
        this.schedule();
      },
      closed: () => {
        this.problem = "";
        this.schedule();
        this.canvas.focus();
      },
    });
    this.readout = new Readout();

    this.opacity = slider("Opacity");
    this.threshold = slider("Threshold");
    this.colours = new ColourMenu(this.model);
    this.lock = make("button", { type: "button", className: "cnnviz-lock" }, padlock(), "Lock scale");
    this.lock.title = "Keep this scale, to compare maps";
    this.file = make("input", { type: "file", accept: "image/*", hidden: true, tabIndex: -1 });
    this.open = make("button", { type: "button", textContent: "Open picture…", title: "Or drop or paste one here" });
    this.help = keysHelp(KEYS);
    const fields = [this.opacity.field, this.threshold.field, this.colours.field];
    this.tools = make("div", { className: "cnnviz-tools" }, ...fields, this.lock, this.open, this.file, this.help);

    this.root = make(
      "div", { className: "cnnviz cnnviz-canvas" },
      make("div", { className: "cnnviz-head" }, this.caption, this.static),
      make("div", { className: "cnnviz-stage" }, this.place, this.bar.element),
      this.report.track, make("div", { className: "cnnviz-under" }, this.readout.element, this.report.work),
      this.report.alarm, this.tools,
    );
    keepKeys(this.root);
    this.el.classList.add("cnnviz-host");
    this.el.replaceChildren(this.root);
  }

  listen() {
    const { model, canvas, root } = this;
    this.redraw = (trait) => this.changed(trait);
    this.maps.views.add(this.redraw);
    this.unseen = false;
    this.resized = new ResizeObserver(() => this.schedule());
    this.resized.observe(this.place);
    this.density = new Density(() => this.schedule());

    canvas.addEventListener("pointermove", (event) => this.look(this.spotAt(event)));
    canvas.addEventListener("pointerleave", () => this.look(null));
    canvas.addEventListener("click", (event) => this.choose(this.spotAt(event)));
    canvas.addEventListener("keydown", (event) => this.key(event));
    for (const trait of ["opacity", "threshold"]) {
      const { input } = this[trait];
      input.addEventListener("input", () => change(model, { [trait]: input.valueAsNumber / 100 }));
    }
    this.lock.addEventListener("click", () => this.toggleLock());
    this.open.addEventListener("click", () => this.file.click());
    this.file.addEventListener("change", () => {
      this.send(this.file.files);
      this.file.value = ""; // So that the same file can be chosen again.
    });
    root.addEventListener("dragover", (event) => this.drag(event, true));
    root.addEventListener("dragleave", (event) => {
      if (!root.contains(/** @type {Node} */ (event.relatedTarget))) this.drag(event, false);
    });
    root.addEventListener("drop", (event) => {
      this.drag(event, false);
      if (model.get("openable")) this.send(event.dataTransfer.files);
    });
    root.addEventListener("paste", (event) => {
      if (!model.get("openable") || !event.clipboardData.files.length) return;
      event.preventDefault();
      event.stopPropagation();
      this.send(event.clipboardData.files);
    });
  }

  // ------------------------------------------------------------------------------------------ what happens

  changed(trait) {
    if (trait === "cursor") this.cross = spotOf(this.model.get("cursor"));
    if (["picture", "status", "error"].includes(trait)) {
      this.opening = "";
      this.report.renew();
    }
    if (trait === "picture") this.problem = "";
    this.schedule();
  }

  look(spot) {
    this.hover = spot;
    this.schedule();
  }

  choose(spot) {
    if (!spot) return;
    this.cross = spot;
    change(this.model, { cursor: spot });
    this.schedule();
  }

  toggleLock() {
    const locked = !this.model.get("locked");
    change(this.model, locked ? { locked } : { locked, scale: null });
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { model } = this;
    const far = event.shiftKey ? 10 : 1;
    const nudge = (trait, by) => {
      change(model, { [trait]: clamp(Math.round((model.get(trait) + by) * 100) / 100, 0, 1) });
    };
    const actions = {
      ArrowLeft: () => this.step(-far, 0), ArrowRight: () => this.step(far, 0),
      ArrowUp: () => this.step(0, -far), ArrowDown: () => this.step(0, far),
      Enter: () => this.choose(this.cross),
      "+": () => nudge("opacity", 0.05), "=": () => nudge("opacity", 0.05), "-": () => nudge("opacity", -0.05),
      "[": () => nudge("threshold", -0.05), "]": () => nudge("threshold", 0.05),
      c: () => this.colours.next(),
      l: () => this.toggleLock(),
      o: () => model.get("openable") && this.file.click(),
    };
    const action = Object.hasOwn(actions, event.key) && actions[event.key];
    if (!action) return; // Tab, Escape and all others belong to the page.
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  step(right, down) {
    const { width, height } = this.size();
    const from = this.hover ?? this.cross;
    this.hover = null;
    this.cross = from
      ? { x: clamp(from.x + right, 0, width - 1), y: clamp(from.y + down, 0, height - 1) }
      : { x: width >> 1, y: height >> 1 };
    this.schedule();
  }

  /** @param {DragEvent} event */
  drag(event, over) {
    if (!this.model.get("openable")) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.dataTransfer) event.dataTransfer.dropEffect = "copy";
    this.root.classList.toggle("cnnviz-dropping", over);
  }

  /** Send the first of these files to the kernel, which knows whether it is a picture. @param {FileList} files */
  async send(files) {
    const file = files[0];
    this.problem = "";
    if (!file) this.problem = "That was no file. Save the picture first, then drop or open the file.";
    else if (file.size > LARGEST_FILE) {
      const size = (file.size / 1e6).toFixed(1);
      this.problem = `${file.name} has ${size} MB; pictures up to ${LARGEST_FILE / 1e6} MB can be opened.`;
    } else {
      this.opening = file.name;
      try {
        this.maps.link.say({ type: "file", name: file.name }, [await file.arrayBuffer()]);
      } catch (error) {
        this.opening = "";
        this.problem = `${file.name} could not be read: ${error.message}`;
      }
    }
    this.schedule();
  }

  // ------------------------------------------------------------------------------------------ what is seen

  schedule() {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const { model } = this;
    const sent = model.get("picture");
    if (sent !== this.sent) [this.sent, this.picture] = [sent, pictureOf(sent)];
    this.map = this.maps.shown(model);
    this.fit();
    this.paint();
    this.drawBar();
    this.drawWords();
    this.drawTools();
  }

  size() {
    return this.picture ?? this.map ?? { width: 1, height: 1 };
  }

  /** The canvas's size on the page: whole screen pixels for each of the picture's, where the cell is wide enough. */
  fit() {
    const { width, height } = this.size();
    const chosen = this.model.get("zoom") || Math.max(1, Math.ceil(320 / Math.max(width, height)));
    const across = this.model.get("zoom") ? width * chosen : Math.min(width * chosen, 640);
    this.place.style.width = `${across}px`;
    this.place.style.aspectRatio = `${width} / ${height}`;
    this.place.hidden = !this.picture && !this.map;
    this.place.parentElement.classList.toggle("cnnviz-empty", !this.picture && !this.map);
  }

  paint() {
    const { model, map, picture, canvas, layer } = this;
    const { width, height } = this.size();
    this.scale = map && scaleOf(map, model.get("scale"));
    this.table = this.colours.table(Boolean(map?.signed));
    if (map !== this.enlarged?.map || width !== this.enlarged?.width || height !== this.enlarged?.height) {
      this.enlarged = map && { map, width, height, values: enlarge(map, width, height) };
    }
    const box = this.place.getBoundingClientRect();
    if (!box.width || !box.height) {
      // Out of sight. When it comes back the observer says so, except after a change of theme, which hides everything
      // for less than a frame: hence one more try.
      if (!this.unseen) this.retry = setTimeout(() => this.schedule(), 300);
      this.unseen = true;
      return;
    }
    this.unseen = false;
    const density = this.density.now();
    const across = Math.max(1, Math.round(box.width * density));
    const down = Math.max(1, Math.round(box.height * density));
    const [opacity, threshold] = [model.get("opacity"), model.get("threshold")];
    const look = { scale: this.scale, opacity, threshold, table: this.table };
    const now = [picture, map, opacity, threshold, this.table, this.scale?.lo, this.scale?.hi, across, down];
    if (now.every((value, i) => value === this.painted[i])) return;
    this.painted = now;
    [layer.width, layer.height, canvas.width, canvas.height] = [width, height, across, down];
    const image = compose(picture, map, this.enlarged?.values ?? null, width, height, look);
    layer.getContext("2d").putImageData(image, 0, 0);
    const pen = canvas.getContext("2d");
    // Pixels with sharp edges; only where each would get an uneven share of few screen pixels are they smoothed.
    pen.imageSmoothingEnabled = across < 2 * width && across !== width;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(layer, 0, 0, across, down);
  }

  drawBar() {
    const { map, scale, model } = this;
    this.root.classList.toggle("cnnviz-bare", !map); // Its place is kept, so that the picture stays where it is.
    if (!map) return;
    const cut = model.get("threshold") * Math.max(Math.abs(scale.lo), Math.abs(scale.hi));
    this.bar.draw(scale, map.color ? null : this.table, { unit: map.unit, cut, held: Boolean(model.get("scale")) });
  }

  drawWords() {
    const { model, map } = this;
    const caption = map?.label || model.get("label");
    this.caption.textContent = caption;
    this.static.hidden = !this.maps.link.silent;
    this.canvas.setAttribute("aria-label", `${caption || "Picture"}. Arrow keys move the cross-hair.`);
    this.note.hidden = Boolean(map) || !model.get("method");
    const missing = this.maps.link.silent ? "not kept in this page" : "no map yet";
    this.note.textContent = `${model.get("method").replaceAll("_", " ")}: ${missing}`;

    const busy = this.opening && `Opening ${this.opening}…`;
    this.report.draw(model.get("status"), model.get("error"), { problem: this.problem, busy });
    this.drawSpot();
  }

  drawSpot() {
    const { map, picture, cross } = this;
    const { width, height } = this.size();
    const inside = (spot) => spot && spot.x < width && spot.y < height;
    const spot = inside(this.hover) ? this.hover : inside(cross) ? cross : null;
    const words = spot && (picture || map) ? read(spot, picture, map, this.enlarged?.values, width, height) : [];
    this.readout.show(words, picture || map ? HINT : "");
    this.across.hidden = this.down.hidden = !inside(cross);
    if (inside(cross)) {
      this.across.style.top = `${(100 * (cross.y + 0.5)) / height}%`;
      this.down.style.left = `${(100 * (cross.x + 0.5)) / width}%`;
    }
    const coarse = map && spot && (2 * map.width <= width || 2 * map.height <= height);
    this.cell.hidden = !coarse;
    if (coarse) {
      const { column, row } = cellAt(spot, map, width, height);
      Object.assign(this.cell.style, {
        left: `${(100 * column) / map.width}%`, top: `${(100 * row) / map.height}%`,
        width: `${100 / map.width}%`, height: `${100 / map.height}%`,
      });
    }
  }

  drawTools() {
    const { model, map } = this;
    this.tools.hidden = !model.get("toolbar");
    this.opacity.show(model.get("opacity"));
    this.threshold.show(model.get("threshold"));
    this.colours.draw(Boolean(map?.color));
    const locked = model.get("locked");
    showLock(this.lock, locked);
    this.open.hidden = !model.get("openable");
  }

  /** @returns {Spot} */
  spotAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const { width, height } = this.size();
    return {
      x: clamp(Math.floor(((event.clientX - box.left) / box.width) * width), 0, width - 1),
      y: clamp(Math.floor(((event.clientY - box.top) / box.height) * height), 0, height - 1),
    };
  }
}

// ---------------------------------------------------------------------------------- small things

const spotOf = (cursor) => (cursor && "x" in cursor && "y" in cursor ? { x: cursor.x, y: cursor.y } : null);
