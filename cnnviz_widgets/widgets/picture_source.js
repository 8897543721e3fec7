/**
 * The front end of PictureSource: a small preview, and four ways to another picture.
 *
 * `Source` (picture_model.js) belongs to the model and holds the camera. `SourceView` belongs to one place on the page,
 * and has a drawing board of its own.
 *
 * @typedef {{ kind: string, name: string, width: number, height: number, data: DataView }} Shown
 */

import { Board } from "./front/drawing.js";
import { Chooser } from "./front/chooser.js";
import { keepKeys, make, put } from "./front/elements.js";
import { receiveFiles } from "./front/files.js";
import { Gate } from "./front/gate.js";
import { bytesOf, change } from "./front/link.js";
import { Source } from "./picture_model.js";

/** One of these for every model: anywidget calls the default export once for each. */
export default () => {
  const source = new Source();
  return {
    initialize: ({ model }) => source.attach(model),
    render: ({ model, el }) => {
      const view = new SourceView(model, el, source);
      return () => view.destroy();
    },
  };
};

// ---------------------------------------------------------------------------------- what is on the page

const KINDS = {
  sample: "Sample", file: "File", drawing: "Drawing", camera: "Camera", python: "From Python", index: "In the index",
};

/** The elements of one view. Whatever happens, `draw` makes all of them show what the model says. */
class SourceView {
  constructor(model, el, source) {
    this.model = model;
    this.el = el;
    this.source = source;
    this.panel = ""; // "choose", "draw" or "".
    this.opening = ""; // The name of a file on its way to the kernel.
    this.frame = 0;
    this.gate = new Gate(() => this.drawing(), (content, buffers) => source.link.say(content, buffers));
    this.chooser = new Chooser({
      need: (names) => source.need(names),
      choose: (name) => source.choose(name),
    });
    this.build();
    this.listen();
    source.views.add(this);
    source.followCamera();
    this.draw();
  }

  destroy() {
    this.source.views.delete(this);
    if (this.source.views.size) this.source.look();
    else this.source.leave();
    this.gate.close();
    this.chooser.destroy();
    this.resized.disconnect();
    cancelAnimationFrame(this.frame);
    if (this.address) URL.revokeObjectURL(this.address);
    this.el.classList.remove("cnnviz-host");
    this.el.replaceChildren();
  }

  build() {
    this.still = make("img", { className: "cnnviz-pic-still", hidden: true });
    this.moving = make("canvas", { className: "cnnviz-pic-moving", hidden: true });
    this.moving.setAttribute("role", "img");
    this.moving.setAttribute("aria-label", "The camera's picture");
    this.none = make("span", { className: "cnnviz-pic-faint", textContent: "No picture yet" });
    const over = make("div", { className: "cnnviz-pic-over", textContent: "Drop it" });
    this.preview = make("div", { className: "cnnviz-pic-preview" }, this.still, this.moving, this.none, over);

    this.title = make("span", { className: "cnnviz-pic-title" });
    this.detail = make("span", { className: "cnnviz-pic-faint" });
    this.static = make("span", { className: "cnnviz-static", textContent: "static: no kernel answers" });
    const button = (text, title) => make("button", { type: "button", textContent: text, title });
    this.choose = button("Choose", "Pictures by name");
    this.open = button("Open…", "A file of this computer; it can also be dropped here or pasted");
    this.sketch = button("Draw", "Draw with the mouse, a pen, a finger or the keyboard");
    this.film = button("Camera", "Show the camera's pictures to the network");
    this.freeze = button("Freeze", "Keep this picture, and the camera on");
    this.flip = make("input", { type: "checkbox" });
    const mirror = make("label", { className: "cnnviz-field" }, this.flip, make("span", { textContent: "Mirror" }));
    this.rate = make("span", { className: "cnnviz-pic-rate" });
    this.filming = make("div", { className: "cnnviz-pic-row" }, this.freeze, mirror, this.rate);
    this.state = make("span", { className: "cnnviz-pic-faint" });
    this.state.setAttribute("role", "status");
    const side = make(
      "div", { className: "cnnviz-pic-side" },
      make("div", { className: "cnnviz-pic-head" }, this.title, this.detail, this.static),
      make("div", { className: "cnnviz-pic-row" }, this.choose, this.open, this.sketch, this.film),
      this.filming, this.state,
    );

    this.wrong = make("span", {});
    this.close = make("button", { type: "button", className: "cnnviz-close", textContent: "×", title: "Dismiss" });
    this.close.setAttribute("aria-label", "Dismiss the error");
    this.alarm = make("div", { className: "cnnviz-alarm", hidden: true }, this.wrong, this.close);
    this.alarm.setAttribute("role", "alert");
    this.under = make("div", { className: "cnnviz-pic-under" }, this.chooser.root);

    this.root = make(
      "div", { className: "cnnviz cnnviz-source" },
      make("div", { className: "cnnviz-pic-bar" }, this.preview, side), this.alarm, this.under,
    );
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", "Picture");
    this.file = receiveFiles(this.root, (file) => this.send(file), (error) => change(this.model, { error }));
    this.root.append(this.file);
    keepKeys(this.root);
    this.el.classList.add("cnnviz-host");
    this.el.replaceChildren(this.root);
  }

  listen() {
    const { model, source } = this;
    this.choose.addEventListener("click", () => this.unfold("choose"));
    this.sketch.addEventListener("click", () => this.unfold("draw"));
    this.open.addEventListener("click", () => this.file.click());
    this.film.addEventListener("click", () => (source.camera.running ? source.stop() : source.start()));
    this.freeze.addEventListener("click", () => change(model, { frozen: !model.get("frozen") }));
    this.flip.addEventListener("change", () => change(model, { mirror: this.flip.checked }));
    this.close.addEventListener("click", () => {
      change(model, { error: "" });
      this.choose.focus();
    });
    this.resized = new ResizeObserver(() => source.look());
    this.resized.observe(this.root);
  }

  // ------------------------------------------------------------------------------------------ what happens

  /** Show one of the panels under the bar, or fold it away. */
  unfold(panel) {
    this.panel = this.panel === panel ? "" : panel;
    if (this.panel === "draw" && this.board?.size !== this.model.get("size")) this.makeBoard();
    this.schedule();
  }

  makeBoard() {
    this.board?.root.remove();
    const board = new Board(this.model.get("size"), {
      drawn: () => this.gate.wish(),
      fetchGround: () => this.source.fetchGround((ground) => board.start(ground)),
    });
    this.board = board;
    keepKeys(board.root);
    this.under.append(board.root);
  }

  /** The drawing as a message. */
  async drawing() {
    const blob = await this.board.encode();
    return blob && { content: { type: "drawing" }, buffers: [await blob.arrayBuffer()] };
  }

  /** @param {File} file */
  send(file) {
    this.opening = file.name;
    this.source.open(file);
    this.schedule();
  }

  /** Whether somebody could see this view by scrolling: neither it nor what it stands in is hidden. */
  inSight() {
    return !this.root.isConnected || (this.root.checkVisibility?.() ?? true);
  }

  // ------------------------------------------------------------------------------------------ what is seen

  schedule() {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.drawPicture();
    this.drawWords();
    this.drawButtons();
    if (this.panel === "choose") {
      const shown = this.model.get("shown");
      const chosen = shown.kind === "sample" ? shown.name : "";
      this.chooser.draw(this.model.get("names"), chosen, this.source.thumbnails);
    }
  }

  drawPicture() {
    const { model, moving, still } = this;
    const { camera } = this.source;
    const shown = model.get("shown");
    if (shown !== this.sent) {
      this.sent = shown;
      this.opening = "";
      if (this.address) URL.revokeObjectURL(this.address);
      this.address = shown.data && URL.createObjectURL(new Blob([bytesOf(shown.data)], { type: "image/jpeg" }));
      if (this.address) still.src = this.address;
      still.alt = shown.kind ? `${KINDS[shown.kind]} ${shown.name}`.trim() : "";
    }
    moving.hidden = !camera.running;
    still.hidden = camera.running || !this.address;
    this.none.hidden = !moving.hidden || !still.hidden;
    if (!camera.running) return;
    const { width } = camera.canvas;
    if (moving.width !== width) moving.width = moving.height = width;
    moving.getContext("2d").drawImage(camera.canvas, 0, 0);
  }

  drawWords() {
    const { model } = this;
    const { camera, link, starting } = this.source;
    const { kind, name, width, height } = model.get("shown");
    const still = kind ? `${name ? `${KINDS[kind]}, ` : ""}${width} × ${height}` : "Or drop or paste one here";
    put(this.title, camera.running ? "Camera" : name || KINDS[kind] || "Choose a picture");
    put(this.detail, camera.running ? "" : still);
    this.static.hidden = !link?.silent;
    const rate = camera.rate();
    const speed = rate ? `${rate.toFixed(rate < 9.5 ? 1 : 0)} frames/s` : "";
    put(this.rate, camera.frozen ? "frozen" : camera.paused ? "paused" : speed);
    const elsewhere = model.get("live") && !camera.running && model.get("page");
    const state = starting ? "Starting the camera…" : elsewhere ? "The camera runs in another page." : "";
    if (model.get("error")) this.opening = "";
    put(this.state, this.opening ? `Opening ${this.opening}…` : state);
    this.alarm.hidden = !model.get("error");
    put(this.wrong, model.get("error"));
  }

  drawButtons() {
    const { model, panel, board } = this;
    const { camera, starting } = this.source;
    this.choose.hidden = !model.get("names").length;
    this.choose.setAttribute("aria-expanded", String(panel === "choose"));
    this.sketch.setAttribute("aria-expanded", String(panel === "draw"));
    this.chooser.root.hidden = panel !== "choose";
    if (board) {
      board.root.hidden = panel !== "draw";
      board.over.disabled = !model.get("shown").kind && !camera.running;
    }
    this.under.hidden = !panel;
    put(this.film, camera.running ? "Stop camera" : "Camera");
    this.film.disabled = Boolean(starting);
    this.film.setAttribute("aria-pressed", String(camera.running));
    this.filming.hidden = !camera.running;
    this.freeze.setAttribute("aria-pressed", String(model.get("frozen")));
    this.flip.checked = model.get("mirror");
  }
}
