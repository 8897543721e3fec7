/** The front end of FeatureStudio: pictures that grow, what is done to them, and those that were kept. */

import { CodeBox } from "./front/copying.js";
import { keepKeys, make, put } from "./front/elements.js";
import { receiveFiles } from "./front/files.js";
import { Report } from "./front/report.js";
import { viewsOf } from "./front/views.js";
import { StudioCurve } from "./studio_curve.js";
import { StudioGallery } from "./studio_gallery.js";
import { StudioPanel } from "./studio_panel.js";
import { StudioStage } from "./studio_stage.js";

const TRAITS = ["frame", "curve", "settings", "pieces", "kept", "looked", "code", "status", "error"];
const MAIN = {
  running: { words: "Pause", type: "pause", title: "Rest between two steps; other widgets have the network meanwhile" },
  paused: { words: "Resume", type: "resume", title: "Go on where it was paused" },
};
const START = { words: "Start", type: "start", title: "Make a picture, step by step" };

class StudioPage {
  constructor(model, el, link) {
    Object.assign(this, { model, el, link });
    this.frame = 0;
    this.build();
    this.draw();
  }

  destroy() {
    cancelAnimationFrame(this.frame);
    for (const part of [this.stage, this.panel, this.gallery, this.code]) part.close();
    this.el.classList.remove("cnnviz-host");
    this.el.replaceChildren();
  }

  build() {
    const say = (content) => this.link.say(content);
    this.caption = make("div", { className: "cnnviz-caption" });
    this.static = make("div", { className: "cnnviz-static", textContent: "static: no kernel answers" });
    this.back = make("button", { type: "button", textContent: "Back to the present picture" });
    this.back.addEventListener("click", () => say({ type: "back" }));
    const head = make("div", { className: "cnnviz-head" }, this.caption, this.back, this.static);
    this.stage = new StudioStage((number) => this.model.send({ type: "seen", number }));
    this.curve = new StudioCurve();
    this.fill = make("div", { className: "cnnviz-fill" });
    this.track = make("div", { className: "cnnviz-track cnnviz-on" }, this.fill);
    this.track.setAttribute("role", "progressbar");
    this.track.setAttribute("aria-label", "Steps made");
    this.report = new Report({ stop: () => say({ type: "stop" }), closed: () => this.draw() });
    this.main = make("button", { type: "button", className: "cnnviz-main" });
    this.main.addEventListener("click", () => this.pressMain());
    this.keep = make("button", { type: "button", textContent: "Keep", title: "Put the picture into the gallery below" });
    this.keep.addEventListener("click", () => say({ type: "keep" }));
    this.next = make("span", { className: "cnnviz-next" });
    this.report.stop.title = "End it; the best so far stays";
    const { work, alarm, stop, state } = this.report;
    work.replaceChildren(this.main, stop, this.keep, state, this.next);
    this.panel = new StudioPanel(say);
    this.gallery = new StudioGallery(say);
    this.code = new CodeBox();
    const seen = make("div", { className: "cnnviz-seen" }, this.stage.element, this.curve.element);
    const left = make("div", { className: "cnnviz-left" }, head, seen, this.track, work, alarm);
    const body = make("div", { className: "cnnviz-studio-body" }, left, this.panel.element);
    this.root = make(
      "section", { className: "cnnviz cnnviz-studio" }, body, this.gallery.element, this.code.element,
    );
    this.root.setAttribute("aria-label", "Feature studio");
    this.files = receiveFiles(this.root, (file) => this.take(file), (words) => this.complain(words),
      () => this.model.get("openable"));
    this.root.append(this.files);
    this.panel.open = () => this.files.click();
    keepKeys(this.root);
    this.el.classList.add("cnnviz-host");
    this.el.replaceChildren(this.root);
  }

  changed(trait) {
    if (trait === "status" || trait === "error") this.report.renew();
    if (trait === "frame" && this.model.get("looked").frame) {
      // Something else is on the screen; the kernel may go on all the same.
      this.model.send({ type: "seen", number: this.model.get("frame").number });
    }
    this.schedule();
  }

  schedule() {
    // A page that is not in sight has no animation frames, and needs none.
    this.frame ||= requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const { model } = this;
    const [status, settings, looked] = [model.get("status"), model.get("settings"), model.get("looked")];
    const present = { frame: model.get("frame"), curve: model.get("curve"), code: model.get("code") };
    const shown = looked.frame ? looked : present;
    const names = present.frame.names ?? [];
    const alive = status.state === "running" || status.state === "paused";
    put(this.caption, looked.title ?? (names.join(", ") || settings.target || "No target yet"));
    this.back.hidden = !looked.frame;
    this.static.hidden = !this.link.silent;
    this.stage.draw(shown.frame, this.hint(settings, status));
    const growing = alive && !looked.frame;
    const ranked = shown.curve.rows === 1 || (!growing && shown.frame.names?.length === 1); // Then the best comes first.
    this.curve.draw(shown.curve, growing ? settings.steps : 0, ranked);
    this.report.draw(status, model.get("error"), { problem: this.problem });
    this.report.work.hidden = false;
    this.report.stop.hidden = !alive;
    this.drawMain(status, settings);
    this.keep.disabled = this.link.silent || !present.curve.steps;
    const other = !alive && names.length > 0 && settings.target && settings.target !== names.join(", ");
    put(this.next, other ? `next: ${settings.target}` : "");
    this.drawBar(status);
    this.panel.draw(settings, model.get("pieces"), this.link.silent);
    this.gallery.draw(model.get("kept"), looked.id ?? null, this.link.silent);
    this.code.show(shown.code ?? "");
  }

  drawMain(status, settings) {
    const { words, title } = MAIN[status.state] ?? START;
    if (this.pressed !== status.state) this.pressed = "";
    put(this.main, words);
    this.main.title = title;
    this.main.disabled = this.link.silent || Boolean(this.pressed) || (words === "Start" && !settings.target);
  }

  drawBar({ state, progress }) {
    const unsure = state === "running" && progress === null;
    this.track.classList.toggle("cnnviz-unsure", unsure);
    const percent = 100 * (progress ?? 0);
    this.fill.style.width = unsure ? "" : `${percent}%`;
    this.track.classList.toggle("cnnviz-still", state !== "running" && state !== "done");
    if (unsure) this.track.removeAttribute("aria-valuenow");
    else this.track.setAttribute("aria-valuenow", String(Math.round(percent)));
  }

  hint(settings, status) {
    if (status.state === "running") return "looking at the network…";
    if (!settings.target) return "Choose a class or a channel above, then press Start.";
    return `Press Start: what the network would most like to see for “${settings.target}” grows here.`;
  }

  pressMain() {
    const { state } = this.model.get("status");
    this.problem = "";
    this.pressed = state;
    this.link.say({ type: (MAIN[state] ?? START).type });
    if (this.model.get("looked").frame) this.link.say({ type: "back" });
    this.draw();
  }

  /** A picture to begin with. @param {File} file */
  async take(file) {
    this.complain("");
    const data = await file.arrayBuffer();
    this.link.say({ type: "file", name: file.name }, [data]);
  }

  complain(words) {
    this.problem = words;
    this.draw();
  }
}

export default viewsOf(TRAITS, StudioPage);
