/**
 * The front end of OcclusionCanvas: a patch on a picture, the map of what it does, and the answer where it lies.
 *
 * `Occlusion` (occlusion_state.js) belongs to the model: it knows where the patch is, looks answers up, and asks for
 * those that nobody knows. `OcclusionView` belongs to one place on the page and draws everything anew from the model
 * when something changes; its three parts are the picture, the map and the bars.
 */

import { ColourBar } from "./front/bar.js";
import { ColourMenu } from "./front/colour_menu.js";
import { scaleOf } from "./front/colours.js";
import { keepKeys, keysHelp, make, padlock, put, showLock, slider } from "./front/elements.js";
import { receiveFiles } from "./front/files.js";
import { Legend } from "./front/legend.js";
import { change } from "./front/link.js";
import { Readout } from "./front/readout.js";
import { Report } from "./front/report.js";
import { say } from "./front/words.js";
import { AnswerBars } from "./occlusion_bars.js";
import { MapPane } from "./occlusion_map.js";
import { PatchPane } from "./occlusion_patch.js";
import { Occlusion } from "./occlusion_state.js";

/** One of these for every model: anywidget calls the default export once for each. */
export default () => {
  const state = new Occlusion();
  return {
    initialize: ({ model }) => state.attach(model),
    render: ({ model, el }) => {
      const view = new OcclusionView(model, el, state);
      return () => view.destroy();
    },
  };
};

const HINT = "Point at the map to put the patch there.";
const KEYS = [
  ["← ↑ → ↓", "on the picture: move the patch by a pixel (Shift: by 8)"],
  ["← ↑ → ↓", "on the map: from place to place"], ["Home", "to the centre"],
];

/** The elements of one view. Whatever happens, `draw` makes all of them show what the model says. */
class OcclusionView {
  constructor(model, el, state) {
    this.model = model;
    this.el = el;
    this.state = state;
    this.opening = ""; // The name of a file on its way to the kernel.
    this.problem = ""; // What this page itself has to complain about.
    /** @type {number | null} the class that is pointed at in the legend */ this.lit = null;
    this.frame = 0;
    this.build();
    this.redraw = (trait) => this.changed(trait);
    state.views.add(this.redraw);
    this.draw();
  }

  destroy() {
    this.state.views.delete(this.redraw);
    this.picture.close();
    this.map.close();
    cancelAnimationFrame(this.frame);
    this.el.classList.remove("cnnviz-host");
    this.el.replaceChildren();
  }

  build() {
    const { model, state } = this;
    const again = () => this.schedule();
    this.picture = new PatchPane(state, again);
    this.map = new MapPane(state, again);
    this.bars = new AnswerBars();
    this.bar = new ColourBar();
    this.legend = new Legend((number) => {
      this.lit = number;
      this.schedule();
    });
    this.caption = make("div", { className: "cnnviz-caption" });
    this.static = make("div", { className: "cnnviz-static", textContent: "static: no kernel answers" });
    this.report = new Report({
      stop: () => {
        state.link.say({ type: "stop" });
        this.schedule();
      },
      closed: () => {
        this.problem = "";
        this.schedule();
        this.picture.pane.canvas.focus();
      },
    });
    this.readout = new Readout();
    this.buildTools();

    this.where = make("div", { className: "cnnviz-oc-where" });
    const part = (name, ...inside) => make("div", { className: `cnnviz-oc-${name}` }, ...inside);
    const heading = (textContent) => make("div", { className: "cnnviz-caption", textContent });
    const under = make("div", { className: "cnnviz-under" }, this.readout.element, this.report.work);
    this.stage = part(
      "stage",
      part("head-picture", heading("Drag the patch over the picture")),
      part("picture", this.picture.element),
      this.where,
      part("head-map", this.caption, this.static),
      part("map", this.map.element),
      part("bar", this.bar.element),
      part("under", this.legend.element, this.report.track, under),
      part("head-answer", heading("What the network says")),
      part("answers", this.bars.element),
    );
    this.root = make("div", { className: "cnnviz cnnviz-occlusion" }, this.stage, this.report.alarm, this.tools);
    this.file = receiveFiles(
      this.root, (file) => this.send(file), (words) => this.complain(words), () => model.get("openable"),
    );
    this.root.append(this.file);
    keepKeys(this.root);
    this.el.classList.add("cnnviz-host");
    this.el.replaceChildren(this.root);
  }

  buildTools() {
    const { model } = this;
    this.opacity = slider("Opacity");
    this.opacity.field.title = "Of the map over the picture";
    const { input } = this.opacity;
    input.addEventListener("input", () => change(model, { opacity: input.valueAsNumber / 100 }));
    this.colours = new ColourMenu(model);
    this.lock = make("button", { type: "button", className: "cnnviz-lock" }, padlock(), "Lock scale");
    this.lock.title = "Keep this scale, to compare maps";
    this.lock.addEventListener("click", () => {
      const { map } = this.state;
      change(model, { scale: model.get("scale") || !map ? null : [map.lo, map.hi] });
    });
    this.open = make("button", { type: "button", textContent: "Open picture…", title: "Or drop or paste one here" });
    this.open.addEventListener("click", () => this.file.click());
    const fields = [this.opacity.field, this.colours.field, this.lock, this.open];
    this.tools = make("div", { className: "cnnviz-tools" }, ...fields, keysHelp(KEYS));
  }

  // ------------------------------------------------------------------------------------------ what happens

  changed(trait) {
    if (["picture", "status", "error"].includes(trait)) {
      this.opening = "";
      this.report.renew();
    }
    if (trait === "picture") this.problem = "";
    this.schedule();
  }

  complain(words) {
    this.problem = words;
    this.schedule();
  }

  /** Send a file to the kernel, which knows whether it is a picture. @param {File} file */
  async send(file) {
    this.problem = "";
    this.opening = file.name;
    this.schedule();
    try {
      this.state.link.say({ type: "file", name: file.name }, [await file.arrayBuffer()]);
    } catch (error) {
      this.opening = "";
      this.complain(`${file.name} could not be read: ${error.message}`);
    }
  }

  // ------------------------------------------------------------------------------------------ what is seen

  schedule() {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const { model, state } = this;
    const { map } = state;
    const classes = map?.kind === "classes";
    const scale = map && !classes ? scaleOf(map, model.get("scale")) : null;
    const table = this.colours.table(Boolean(map?.signed));
    this.stage.classList.toggle("cnnviz-empty", !state.pictures);
    this.picture.draw();
    this.map.draw({ opacity: model.get("opacity"), scale, table, lit: this.lit });
    this.bars.draw(state.seen, state.base, state.exact, map?.classes ?? []);
    this.drawBar(map, scale, table);
    this.drawWords(map);
    this.drawTools(map, classes);
  }

  drawBar(map, scale, table) {
    this.bar.element.classList.toggle("cnnviz-oc-away", !scale); // Its place is kept, so that nothing moves.
    this.legend.element.hidden = map?.kind !== "classes";
    if (map?.kind === "classes") {
      this.legend.draw(map.classes, map.base, "without patch");
      const { cell } = this.state;
      this.legend.stress((cell && map.classes[map.at(cell.row, cell.column)]?.number) ?? null);
    }
    if (!scale) return;
    const mark = map.base === null ? undefined : { at: map.base, words: `${say(map.base, 3)} no patch` };
    this.bar.draw(scale, table, { unit: map.unit, held: Boolean(this.model.get("scale")), mark });
  }

  drawWords(map) {
    const { model, state } = this;
    const { place } = state;
    const { h, w, round } = model.get("patch");
    const span = (name, start, size) => `${name} ${minus(start)}…${minus(start + size - 1)}`;
    const reach = place ? ` · ${span("x", place.x, w)} · ${span("y", place.y, h)}` : "";
    put(this.where, `${round ? "Disc" : "Patch"} ${w} × ${h}${reach}`);
    put(this.caption, map?.label || "Map of all places");
    this.static.hidden = !state.link.silent;
    this.readout.show(this.map.words((value) => say(value)), map ? HINT : "");
    const busy = this.opening && `Opening ${this.opening}…`;
    this.report.draw(model.get("status"), model.get("error"), { problem: this.problem, busy });
  }

  drawTools(map, classes) {
    const { model } = this;
    this.opacity.show(model.get("opacity"));
    this.colours.draw(classes);
    showLock(this.lock, Boolean(model.get("scale")));
    this.lock.disabled = classes || !map;
    this.open.hidden = !model.get("openable");
  }
}

const minus = (number) => String(number).replace("-", "−");
