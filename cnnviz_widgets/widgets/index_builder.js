/** The front end of IndexBuilder: how far an index is, one button to start and one to stop, and what was skipped. */

import { make, put } from "./front/elements.js";
import { Report } from "./front/report.js";
import { viewsOf } from "./front/views.js";

const TRAITS = ["title", "action", "skipped", "skipped_count", "status", "error"];
const MEANINGS = {
  Start: "Look at every picture once",
  "Go on": "Look at the pictures that are not done",
  "Try again": "Go on with the pictures that are not done",
  "Bring up to date": "Look at pictures that are new or have changed",
};

class BuilderView {
  constructor(model, el, link) {
    Object.assign(this, { model, el, link });
    this.build();
    this.draw();
  }

  destroy() {
    this.el.classList.remove("cnnviz-host");
    this.el.replaceChildren();
  }

  build() {
    this.caption = make("div", { className: "cnnviz-caption" });
    this.static = make("div", { className: "cnnviz-static", textContent: "static: no kernel answers" });
    this.report = new Report({ stop: () => this.link.say({ type: "stop" }), closed: () => this.draw() });
    // A bar of its own, which stays where it was when the work is stopped.
    this.fill = make("div", { className: "cnnviz-fill" });
    this.track = make("div", { className: "cnnviz-track cnnviz-on" }, this.fill);
    this.track.setAttribute("role", "progressbar");
    this.track.setAttribute("aria-label", "Pictures done");
    this.start = make("button", { type: "button", className: "cnnviz-start" });
    this.start.addEventListener("click", () => {
      this.pressed = this.model.get("status");
      this.link.say({ type: "start" });
      this.draw();
    });
    this.summary = make("summary", {});
    this.list = make("ul", {});
    this.skipped = make("details", { className: "cnnviz-skipped" }, this.summary, this.list);
    const { work, alarm } = this.report;
    work.prepend(this.start);
    this.root = make(
      "section", { className: "cnnviz cnnviz-builder" },
      make("div", { className: "cnnviz-head" }, this.caption, this.static),
      this.track, work, alarm, this.skipped,
    );
    this.root.setAttribute("aria-label", "Index");
    this.el.classList.add("cnnviz-host");
    this.el.replaceChildren(this.root);
  }

  changed(trait) {
    if (trait === "status" || trait === "error") this.report.renew();
    this.draw();
  }

  draw() {
    const { model } = this;
    const status = model.get("status");
    const action = model.get("action");
    put(this.caption, model.get("title"));
    this.static.hidden = !this.link.silent;
    this.report.draw(status, model.get("error"));
    this.report.work.hidden = false;
    if (this.pressed !== status) this.pressed = null;
    this.start.hidden = !action || status.state === "running";
    this.start.disabled = this.link.silent || Boolean(this.pressed);
    this.start.classList.toggle("cnnviz-main", action !== "Bring up to date");
    this.start.title = MEANINGS[action] ?? "";
    put(this.start, action);
    this.drawBar(status);
    this.drawSkipped();
  }

  drawBar({ state, progress }) {
    const unsure = state === "running" && progress === null;
    this.track.classList.toggle("cnnviz-unsure", unsure);
    this.track.classList.toggle("cnnviz-still", state !== "running" && state !== "done");
    const percent = 100 * (progress ?? 0);
    this.fill.style.width = unsure ? "" : `${percent}%`;
    if (unsure) this.track.removeAttribute("aria-valuenow");
    else this.track.setAttribute("aria-valuenow", String(Math.round(percent)));
  }

  drawSkipped() {
    const skipped = this.model.get("skipped");
    const count = this.model.get("skipped_count");
    this.skipped.hidden = !count;
    if (!count || skipped === this.listed) return;
    this.listed = skipped;
    put(this.summary, `${count.toLocaleString("en")} ${count === 1 ? "picture" : "pictures"} could not be read`);
    const lines = skipped.map(([key, reason]) => {
      return make("li", {}, make("b", { textContent: key }), make("span", { textContent: ` ${reason}` }));
    });
    if (count > skipped.length) lines.push(make("li", { textContent: `and ${count - skipped.length} more` }));
    this.list.replaceChildren(...lines);
  }
}

export default viewsOf(TRAITS, BuilderView);
