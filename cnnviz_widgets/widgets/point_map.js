/**
 * The front end of PointMap: points in a plane, to move about in, to point at and to select from.
 *
 * `PointState` belongs to the model: it knows where the points are and which are chosen. `PointMapView` belongs to one
 * place on the page and looks at a part of the plane of its own: one canvas has the points, one above it what changes
 * with the mouse. `PointHand` says what mouse and keys mean.
 */

import { ColourBar } from "./front/bar.js";
import { scaleOf } from "./front/colours.js";
import { Density } from "./front/density.js";
import { clamp, keepKeys, make, put } from "./front/elements.js";
import { receiveFiles } from "./front/files.js";
import { change } from "./front/link.js";
import { Readout } from "./front/readout.js";
import { Report } from "./front/report.js";
import { PointHand, REACH } from "./point_hand.js";
import { PointLegend } from "./point_legend.js";
import { pointLook, pointStyle } from "./point_look.js";
import { PointMarks } from "./point_marks.js";
import { PointOver } from "./point_over.js";
import { paintPoints, PointPainter } from "./point_paint.js";
import { boundsOf, pointsIn } from "./point_polygon.js";
import { counted, readoutOf, wordsAbout } from "./point_read.js";
import { PointState } from "./point_state.js";
import { PointTip } from "./point_tip.js";
import { PointTools } from "./point_tools.js";
import { PointView } from "./point_view.js";
import { pointBeside, pointInMiddle } from "./point_walk.js";

const TRAITS = [
  "points", "groups", "values", "highlight", "words", "selection", "selected", "hidden", "pointing", "marks", "labels",
  "pictures", "height", "label", "toolbar", "scale", "colormap", "tables", "status", "error", "openable",
];
const NARROW = 520; // CSS pixels below which the legend stands under the map.
const REST = 150; // Milliseconds after which a view that was moved is at rest ...
const SLOW = 10; // ... and those that a drawing may take to be sharp while it moves.
const GLIDE = 60; // Milliseconds in which two thirds of the way to another view are done.

/** One of these for every model: anywidget calls the default export once for each. */
export default () => {
  const state = new PointState();
  return {
    initialize: ({ model }) => state.attach(model, TRAITS),
    render: ({ model, el }) => {
      const view = new PointMapView(model, el, state);
      return () => view.destroy();
    },
  };
};

class PointMapView {
  constructor(model, el, state) {
    Object.assign(this, { model, el, state });
    this.view = new PointView();
    this.painter = new PointPainter();
    this.over = new PointOver(state);
    this.marks = new PointMarks(() => this.schedule("over"));
    this.id = ""; // Of the points that were drawn last.
    this.fits = -1;
    this.following = true; // Whether the view follows the extent of the points.
    /** @type {{ x: number, y: number, scale: number } | null} where the view glides to */ this.goal = null;
    /** @type {{ x0: number, y0: number, x1: number, y1: number } | null} what is to be seen next */ this.sought = null;
    /** @type {{ x: number, y: number } | null} */ this.mouse = null;
    /** @type {number | null} under the mouse */ this.hover = null;
    /** @type {number | null} where the arrow keys are, ... */ this.cursor = null;
    this.keyed = false; // ... and whether it is they that lead, not the mouse.
    this.hasty = false; // Whether the view is being moved, so that speed counts for more than sharpness.
    this.slow = 0; // Milliseconds that a sharp drawing takes.
    this.opening = "";
    this.problem = "";
    this.frame = 0;
    this.stale = new Set(["points", "over", "words"]);
    this.build();
    this.listen();
    this.marks.take(model.get("marks"));
    this.draw();
  }

  destroy() {
    const { state } = this;
    state.views.delete(this.redraw);
    state.thumbnails.want(this, []);
    state.words.want(this, []);
    state.thumbnails.want(this.over, []);
    state.words.want(this.over, []);
    this.hand.close();
    this.resized.disconnect();
    this.themed.disconnect();
    this.density.close();
    for (const timer of [this.retry, this.recolour, this.resting]) clearTimeout(timer);
    cancelAnimationFrame(this.frame);
    this.marks.close();
    this.el.classList.remove("cnnviz-host");
    this.el.replaceChildren();
  }

  build() {
    const { model, state } = this;
    this.canvas = make("canvas", { className: "cnnviz-pixels" });
    this.above = make("canvas", { className: "cnnviz-points-above" });
    for (const canvas of [this.canvas, this.above]) canvas.setAttribute("aria-hidden", "true");
    this.tip = new PointTip();
    this.tools = new PointTools(model, state, this);
    this.ground = make(
      "div", { className: "cnnviz-points-ground", tabIndex: 0 },
      this.canvas, this.above, this.tip.element, this.tools.zooms,
    );
    this.ground.setAttribute("role", "application");
    this.ground.setAttribute("aria-roledescription", "map of points");
    this.nothing = make("div", { className: "cnnviz-nothing" });
    this.legend = new PointLegend(model, state);
    this.bar = new ColourBar();
    this.side = make("div", { className: "cnnviz-points-side" }, this.bar.element, this.legend.element);
    this.stage = make("div", { className: "cnnviz-points-stage" }, this.ground, this.nothing, this.side);
    this.caption = make("div", { className: "cnnviz-caption" });
    this.static = make("div", { className: "cnnviz-static", textContent: "static: no kernel answers" });
    this.readout = new Readout();
    const again = () => this.schedule("words");
    this.report = new Report({
      stop: () => {
        state.link.say({ type: "stop" });
        again();
      },
      closed: () => {
        again();
        this.ground.focus();
      },
    });
    this.root = make(
      "div", { className: "cnnviz cnnviz-points" },
      make("div", { className: "cnnviz-head" }, this.caption, this.static),
      this.stage, this.report.track,
      make("div", { className: "cnnviz-under" }, this.readout.element, this.report.work),
      this.report.alarm, this.tools.element,
    );
    const complain = (words) => this.complain(words);
    this.file = receiveFiles(this.root, (file) => this.send(file), complain, () => model.get("openable"));
    this.root.append(this.file);
    keepKeys(this.root);
    this.el.classList.add("cnnviz-host");
    this.el.replaceChildren(this.root);
    this.hand = new PointHand(this, this.ground);
  }

  listen() {
    this.redraw = (trait, numbers) => this.changed(trait, numbers);
    this.state.views.add(this.redraw);
    const all = () => this.schedule("points", "over", "words");
    this.density = new Density(all);
    this.resized = new ResizeObserver(() => {
      this.root.classList.toggle("cnnviz-points-narrow", this.root.clientWidth < NARROW);
      all();
    });
    for (const element of [this.ground, this.root]) this.resized.observe(element);
    this.ground.addEventListener("blur", () => {
      this.keyed = false;
      this.schedule("over", "words");
    });
    // The new theme's colours may come a moment after its name.
    this.themed = new MutationObserver(() => {
      this.style = null;
      all();
      clearTimeout(this.recolour);
      this.recolour = setTimeout(() => {
        this.style = null;
        all();
      }, 300);
    });
    this.themed.observe(document.body, { attributes: true });
  }

  // ------------------------------------------------------------------------------------------ what happens

  changed(trait, numbers) {
    if (trait === "look") return this.lookAt(numbers);
    if (["points", "groups", "hidden"].includes(trait)) this.over.renew();
    if (trait === "points") this.arrived();
    if (trait === "marks") this.marks.take(this.model.get("marks"));
    if (["points", "status", "error", "marks"].includes(trait)) {
      this.opening = "";
      this.report.renew();
    }
    if (["thumbnails", "said"].includes(trait)) this.schedule("over", "words");
    else if (["status", "error", "silent", "label", "toolbar", "openable"].includes(trait)) this.schedule("words");
    else this.schedule("points", "over", "words");
  }

  /** Other points came, or the same ones elsewhere. */
  arrived() {
    const { state } = this;
    if (state.id !== this.id) {
      this.id = state.id;
      [this.hover, this.cursor] = [null, null];
      this.view.whole = 0; // So that the view jumps.
      this.following = true;
    }
    if (state.fits !== this.fits) this.following = true;
    this.fits = state.fits;
    if (this.hover !== null && !this.mouse) this.hover = null;
  }

  complain(words) {
    this.problem = words;
    this.schedule("words");
  }

  /** Send a file to the kernel, which knows whether it is a picture. @param {File} file */
  async send(file) {
    this.problem = "";
    this.opening = file.name;
    this.schedule("words");
    try {
      this.state.link.say({ type: "file", name: file.name }, [await file.arrayBuffer()]);
    } catch (error) {
      this.opening = "";
      this.complain(`${file.name} could not be read: ${error.message}`);
    }
  }

  // ------------------------------------------------------------------------------------------ where one looks

  pan(right, under) {
    this.view.pan(right, under);
    this.took();
  }

  zoom(times, right, under) {
    this.view.come(times, right, under);
    this.took();
  }

  /** Somebody moved the view: it stays there. */
  took() {
    this.following = false;
    this.goal = null;
    this.hurry();
    this.schedule("points", "over");
  }

  /** Be quick for a moment, and sharp again after it. */
  hurry() {
    this.hasty = true;
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      this.hasty = false;
      if (this.canvas.width !== this.above.width) this.schedule("points", "over");
    }, REST);
  }

  /** Show everything, and follow it. */
  fit() {
    this.following = true;
    this.schedule("points", "over", "words");
  }

  /** @param {number[] | null} numbers */
  lookAt(numbers) {
    const { places } = this.state;
    if (!numbers) return this.fit();
    this.following = false;
    // Where that is in the view is found when it is drawn: it may have no size yet.
    this.sought = boundsOf(numbers.flatMap((number) => [places[2 * number], places[2 * number + 1]]));
    this.schedule("points", "over");
  }

  // ------------------------------------------------------------------------------------------ points and hands

  point(mouse) {
    this.mouse = mouse;
    if (mouse) this.keyed = false;
    this.schedule("over", "words");
  }

  /** The point that is meant by a place of the view, or null. */
  under({ x, y }) {
    const { state, view } = this;
    if (!state.count) return null;
    const pictured = this.inPicture(x, y);
    if (pictured !== null) return pictured;
    const at = view.at(x, y);
    const number = state.grid.nearest(at.x, at.y, REACH / view.scale, (each) => state.able(each));
    return number < 0 ? null : number;
  }

  /** The point whose thumbnail lies at a place. */
  inPicture(x, y) {
    for (const [number, { x0, y0, x1, y1 }] of this.boxes ?? []) {
      if (x >= x0 && x <= x1 && y >= y0 && y <= y1) return number;
    }
    return null;
  }

  /** The point that is read out: under the mouse or, without it, at the cursor. */
  pointed() {
    const { state } = this;
    const number = this.mouse ? this.hover : this.keyed ? this.cursor : null;
    return number !== null && number < state.count && state.able(number) ? number : null;
  }

  selected() {
    const number = this.model.get("selected");
    return number !== null && number < this.state.count ? number : null;
  }

  /** @param {"more" | "less" | null} how */
  click(spot, how) {
    const number = this.under(spot);
    if (number !== null) this.cursor = number;
    this.keyed = !this.mouse; // A finger points at nothing once it is lifted.
    if (number !== null && how) this.state.select([number], how);
    else this.state.click(number);
    this.schedule("points", "over", "words");
  }

  /** Select what lies in a lasso. @param {number[]} corners in CSS pixels of the view */
  enclose(corners, how) {
    if (corners.length < 6) return;
    const { state, view } = this;
    const plane = [];
    for (let i = 0; i < corners.length; i += 2) {
      const { x, y } = view.at(corners[i], corners[i + 1]);
      plane.push(x, y);
    }
    state.select(pointsIn(state.places, plane, (number) => state.able(number)), how, plane);
  }

  turn(mode) {
    this.hand.mode = mode;
    this.schedule("words");
  }

  /** Go to the nearest point in a direction; with `all`, move the view instead. */
  walk(right, up, all) {
    const { state, view } = this;
    this.mouse = null;
    this.keyed = true;
    if (all) return this.pan(-80 * right, 80 * up);
    const from = this.cursor !== null && state.able(this.cursor) ? this.cursor : null;
    const next = from === null ? pointInMiddle(state, view) : pointBeside(state, from, right, up);
    if (next === null) return;
    this.cursor = next;
    this.reveal(next);
    this.schedule("over", "words");
  }

  /** Bring a point into sight. */
  reveal(number) {
    const { state, view } = this;
    const { x, y } = state.shown(number);
    const [right, under] = [view.right(x), view.under(y)];
    const edge = 24;
    const to = [clamp(right, edge, view.width - edge), clamp(under, edge, view.height - edge)];
    if (to[0] !== right || to[1] !== under) this.pan(to[0] - right, to[1] - under);
  }

  choose() {
    const number = this.pointed();
    if (number !== null) this.state.click(number);
    this.schedule("points", "over", "words");
  }

  /** Put the point at the cursor into the selection, or take it out. */
  toggle() {
    const number = this.pointed();
    if (number !== null) this.state.select([number], this.state.chosen[number] ? "less" : "more");
  }

  clearable() {
    return this.state.chosenCount > 0 || this.hand.mode !== "pan" || this.model.get("selected") !== null;
  }

  /** Escape: leave the lasso, else select nothing. */
  clear() {
    if (this.hand.mode !== "pan") return this.turn("pan");
    if (this.state.chosenCount) this.state.select([]);
    else change(this.model, { selected: null });
    this.schedule("points", "over", "words");
  }

  // ------------------------------------------------------------------------------------------ what is seen

  /** @param {...("points" | "over" | "words")} what has to be drawn again */
  schedule(...what) {
    for (const each of what) this.stale.add(each);
    if (!this.frame) this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const { state, model } = this;
    const some = state.count > state.missing;
    this.ground.hidden = !some;
    this.nothing.hidden = some;
    this.side.hidden = !some;
    this.ground.style.height = this.side.style.height = `${model.get("height")}px`;
    if (some && !this.lay()) return;
    const moving = some && this.advance();
    const { stale } = this;
    this.stale = new Set();
    if (moving) {
      stale.add("points").add("over");
      this.hurry();
    }
    if (some && stale.has("points")) this.drawPoints();
    if (some && (stale.has("points") || stale.has("over"))) this.drawOver(moving);
    if (stale.has("words")) this.drawWords(some);
    if (moving) this.schedule("points", "over");
  }

  /** Fit the canvases into the page. @returns {boolean} whether they can be seen */
  lay() {
    const { ground, view } = this;
    const [width, height] = [ground.clientWidth, ground.clientHeight];
    if (!width || !height) {
      // Out of sight. When it comes back the observer says so, except after a change of theme, which hides everything
      // for less than a frame: hence one more try.
      if (!this.unseen) this.retry = setTimeout(() => this.schedule("points", "over", "words"), 300);
      this.unseen = true;
      return false;
    }
    this.unseen = false;
    const density = this.density.now();
    const [across, down] = [Math.round(width * density), Math.round(height * density)];
    if (this.above.width !== across || this.above.height !== down) {
      [this.above.width, this.above.height] = [across, down];
      for (const canvas of [this.canvas, this.above]) {
        Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
      }
      for (const part of ["points", "over"]) this.stale.add(part);
    }
    if (!this.style || this.style.density !== density) this.style = pointStyle(this.root, density);
    view.resize(width, height);
    return true;
  }

  /** Let points and view glide on. @returns {boolean} whether there is more to come */
  advance() {
    const { state, view } = this;
    const now = performance.now();
    const gliding = state.advance(now);
    const whole = view.around(state.bounds);
    const jump = !view.whole;
    view.whole = whole.scale || 1;
    if (this.following) this.goal = whole;
    else if (this.sought) {
      this.goal = view.around(this.sought);
      const alone = this.sought.x0 === this.sought.x1 && this.sought.y0 === this.sought.y1;
      this.goal.scale = alone ? Math.max(view.scale, 8 * view.whole) : Math.min(this.goal.scale, 100 * view.whole);
    }
    this.sought = null;
    if (!this.goal) return gliding;
    if (jump) {
      view.go({ ...this.goal, scale: view.whole });
      return gliding;
    }
    const before = [view.x, view.y, view.scale];
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    // As fast on a slow machine: what is left of the way after some milliseconds.
    const share = still ? 1 : 1 - Math.exp(-Math.min(100, now - (this.glided ?? now - 16)) / GLIDE);
    this.glided = now;
    const going = view.glide(this.goal, share);
    if (!going) this.glided = null;
    if (!going) this.goal = null;
    if (before[0] !== view.x || before[1] !== view.y || before[2] !== view.scale) this.stale.add("points");
    return gliding || going;
  }

  drawPoints() {
    const { state, view, painter, style, model, canvas, above } = this;
    const began = performance.now();
    const coarse = this.hasty && style.density > 1 && this.slow > SLOW;
    const density = coarse ? 1 : style.density;
    const [across, down] = coarse ? [view.width, view.height] : [above.width, above.height];
    if (canvas.width !== across || canvas.height !== down) [canvas.width, canvas.height] = [across, down];
    const values = state.groups.values;
    this.scale = values && scaleOf(values, model.get("scale"));
    this.table = this.tools.colours.table(Boolean(this.scale?.signed));
    this.look = pointLook(state, view, style, this.scale, this.table);
    paintPoints(painter, state, view, style, this.look, { across, down, density });
    painter.end(canvas.getContext("2d"));
    if (!coarse) this.slow = performance.now() - began;
  }

  drawOver(moving) {
    const { model, view, style } = this;
    if (this.mouse) {
      const before = this.hover;
      this.hover = this.hand.corners ? null : this.under(this.mouse);
      if (before !== this.hover) this.stale.add("words");
    }
    if (moving) this.over.glide();
    const pointed = this.pointed();
    this.boxes = this.over.draw(this.above.getContext("2d"), view, style, this.look, {
      marks: this.marks, pointed, selected: this.selected(), corners: this.hand.corners, moving,
      labels: model.get("labels"), pictures: model.get("pictures"),
    });
    this.drawTip(pointed);
    this.ground.classList.toggle("cnnviz-points-lasso", this.hand.mode !== "pan");
    this.ground.classList.toggle("cnnviz-points-over", Boolean(this.mouse) && pointed !== null);
    if (model.get("pointing") && model.get("pointed") !== pointed) change(model, { pointed });
    if (this.stale.has("words")) this.schedule("words");
  }

  drawTip(pointed) {
    const { state, view } = this;
    const { thumbnails, words } = state;
    const wanted = [pointed, this.selected()].filter((number) => number !== null);
    thumbnails.want(this, pointed === null ? [] : [pointed]);
    words.want(this, wanted);
    if (pointed === null) return this.tip.hide();
    const { x, y } = state.shown(pointed);
    const place = { x: view.right(x), y: view.under(y), width: view.width, height: view.height };
    const picture = thumbnails.some && !state.link.silent ? thumbnails.get(pointed) : (thumbnails.get(pointed) ?? null);
    this.tip.show(picture, wordsAbout(state, pointed), place, this.style.density);
  }

  drawWords(some) {
    const { model, state } = this;
    put(this.caption, model.get("label"));
    this.static.hidden = !state.link.silent;
    const spoken = some ? (this.pointed() ?? this.selected()) : null;
    const { words, hint } = readoutOf(state, spoken);
    this.readout.show(words, some ? hint : "");
    const busy = this.opening && `Opening ${this.opening}…`;
    this.report.draw(model.get("status"), model.get("error"), { problem: this.problem, busy });
    put(this.nothing, state.count ? `None of the ${counted(state.count)} points has a place.` : "No points yet.");
    const { values } = state.groups;
    this.legend.draw(!values, model.get("highlight"));
    this.drawBar(values);
    this.side.hidden = !some || (this.legend.element.hidden && !values);
    this.tools.draw(this.hand.mode, some);
    const caption = model.get("label");
    const many = `${counted(state.count - state.missing)} points`;
    const keys = "Arrow keys go from point to point, Enter selects, L is the lasso.";
    this.ground.setAttribute("aria-label", `${caption ? `${caption}: ` : ""}${many}. ${keys}`);
  }

  drawBar(values) {
    this.bar.element.hidden = !values;
    if (!values || !this.scale) return;
    const held = this.model.get("scale");
    this.bar.draw(this.scale, this.table, { what: values.name, held: Boolean(held) });
    // A held scale may end before the values do.
    if (values.hi > this.scale.hi) this.bar.hi.textContent = `≥ ${this.bar.hi.textContent}`;
    if (values.lo < this.scale.lo) this.bar.lo.textContent = `≤ ${this.bar.lo.textContent}`;
  }
}
