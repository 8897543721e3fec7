/** A drawing board: a square of pixels on which one draws with the mouse, a pen, a finger or the keyboard. */

import { clamp, keysHelp, make, put } from "./elements.js";

const INKS = {
  Black: "#000000", White: "#ffffff", Red: "#e53935", Yellow: "#fdd835", Green: "#43a047", Blue: "#1e88e5",
};
const WIDEST = 64;
const BOARD_KEYS = [
  ["← ↑ → ↓", "move the pen (Shift: by 16)"], ["Space", "put the pen down, lift it"], ["[ ]", "width"],
  ["e", "eraser"], ["z", "undo"], ["Delete", "clear"],
];

/**
 * What was done, in order; the picture is what comes out when all of it is done again.
 * @typedef {{ do: "ground", ground: string | CanvasImageSource }} Ground  a colour, or a picture of the board's size
 * @typedef {{ do: "line", points: [number, number][], colour: string, width: number, eraser: boolean }} Line
 * @typedef {{ do: "clear" } | Ground | Line} Step
 */

/** Ground and ink lie on two layers, so the eraser uncovers the ground. */
export class Board {
  /**
   * @param {number} size side in pixels
   * @param {{ drawn: () => void, fetchGround: () => void }} owner  `drawn`: the picture is a new one; `fetchGround`:
   *   call `start` with the present picture
   */
  constructor(size, owner) {
    this.owner = owner;
    this.size = size;
    /** @type {Step[]} */ this.steps = [{ do: "ground", ground: "#ffffff" }];
    /** @type {Line | null} the line under the pen */ this.line = null;
    this.ink = "#000000";
    this.width = Math.max(2, Math.round(size / 32));
    this.eraser = false;
    this.at = { x: size >> 1, y: size >> 1 }; // Where the keyboard's pen is.
    this.layers = [0, 1].map(() => make("canvas", { width: size, height: size }));
    [this.groundPen, this.inkPen] = this.layers.map((layer) => layer.getContext("2d"));
    this.build();
    this.listen();
    this.replay();
    this.draw();
  }

  // ---------------------------------------------------------------------------------------- what is done

  /** Begin anew on a colour, or on a picture of the board's size; the old drawing comes back with undo. */
  start(ground) {
    this.line = null;
    this.steps.push({ do: "ground", ground });
    this.replay();
    this.owner.drawn();
  }

  undo() {
    this.line = null;
    if (this.steps.length < 2) return;
    this.steps.pop();
    this.replay();
    this.owner.drawn();
  }

  clear() {
    this.line = null;
    this.steps.push({ do: "clear" });
    this.replay();
    this.owner.drawn();
  }

  begin(x, y) {
    this.line = { do: "line", points: [[x, y]], colour: this.ink, width: this.width, eraser: this.eraser };
    this.steps.push(this.line);
    this.stroke(this.line, 0);
    this.paint();
  }

  move(x, y) {
    if (!this.line) return;
    this.line.points.push([x, y]);
    this.stroke(this.line, this.line.points.length - 1);
    this.paint();
  }

  end() {
    if (!this.line) return;
    this.line = null;
    this.owner.drawn();
    this.draw();
  }

  // ---------------------------------------------------------------------------------------- what comes out

  replay() {
    const { size, inkPen, groundPen } = this;
    for (const step of this.steps) {
      if (step.do === "line") step.points.forEach((_, i) => this.stroke(step, i));
      else inkPen.clearRect(0, 0, size, size);
      if (step.do !== "ground") continue;
      if (typeof step.ground === "string") {
        groundPen.fillStyle = step.ground;
        groundPen.fillRect(0, 0, size, size);
      } else groundPen.drawImage(step.ground, 0, 0, size, size);
    }
    this.paint();
    this.draw();
  }

  /** One piece of a line, the same whether it is drawn now or again: to the point `i`, from the one before. */
  stroke(line, i) {
    const { inkPen } = this;
    const [x, y] = line.points[i];
    const [fromX, fromY] = line.points[Math.max(0, i - 1)];
    inkPen.globalCompositeOperation = line.eraser ? "destination-out" : "source-over";
    Object.assign(inkPen, { strokeStyle: line.colour, lineWidth: line.width, lineCap: "round" });
    inkPen.beginPath();
    inkPen.moveTo(fromX, fromY);
    inkPen.lineTo(x, y);
    inkPen.stroke();
    inkPen.globalCompositeOperation = "source-over";
  }

  paint() {
    const pen = this.canvas.getContext("2d");
    for (const layer of this.layers) pen.drawImage(layer, 0, 0);
  }

  /** The picture without loss. @returns {Promise<Blob | null>} */
  encode() {
    return new Promise((done) => this.canvas.toBlob(done, "image/png"));
  }

  // ---------------------------------------------------------------------------------------- what is on the page

  build() {
    const { size } = this;
    this.canvas = make("canvas", { width: size, height: size, tabIndex: 0, className: "cnnviz-pic-board" });
    this.canvas.setAttribute("role", "application");
    this.canvas.setAttribute("aria-roledescription", "drawing board");
    this.canvas.setAttribute("aria-label", "Drawing board. Arrow keys move the pen, Space puts it down and lifts it.");
    this.pointer = make("div", { className: "cnnviz-pic-pointer" });
    const place = make("div", { className: "cnnviz-pic-place" }, this.canvas, this.pointer);

    const swatch = ([name, colour]) => {
      const button = make("button", { type: "button", className: "cnnviz-pic-swatch", title: name });
      button.style.background = colour;
      button.dataset.colour = colour;
      button.setAttribute("aria-label", `${name} pen`);
      return button;
    };
    this.swatches = Object.entries(INKS).map(swatch);
    this.colour = make("input", { type: "color", title: "Any other colour" });
    this.colour.setAttribute("aria-label", "Pen colour");
    this.breadth = make("input", { type: "range", min: "1", max: String(WIDEST), step: "1" });
    this.breadthOut = make("output", {});
    this.rub = make("button", { type: "button", textContent: "Eraser" });
    this.back = make("button", { type: "button", textContent: "Undo" });
    this.wipe = make("button", { type: "button", textContent: "Clear" });
    this.white = make("button", { type: "button", textContent: "White" });
    this.black = make("button", { type: "button", textContent: "Black" });
    this.over = make("button", { type: "button", textContent: "Picture", title: "Draw over the present picture" });
    this.where = make("span", { className: "cnnviz-pic-where" });
    this.where.setAttribute("role", "status");

    const row = (...children) => make("div", { className: "cnnviz-pic-row" }, ...children);
    const name = (text) => make("span", { className: "cnnviz-pic-faint", textContent: text });
    const breadth = make("label", { className: "cnnviz-field" }, make("span", { textContent: "Width" }), this.breadth,
      this.breadthOut);
    const start = row(name("Start from"), this.white, this.black, this.over);
    start.setAttribute("role", "group");
    start.setAttribute("aria-label", "Start a new drawing from");
    const tools = make(
      "div", { className: "cnnviz-pic-tools" },
      row(...this.swatches, this.colour), breadth, row(this.rub, this.back, this.wipe), start,
      keysHelp(BOARD_KEYS), this.where,
    );
    this.root = make("div", { className: "cnnviz-pic-drawing" }, place, tools);
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => {
      if (!event.isPrimary || event.button) return;
      canvas.setPointerCapture(event.pointerId);
      this.end(); // The keyboard's line, if its pen is down.
      const { x, y } = this.spotAt(event);
      this.begin(x, y);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!event.isPrimary || !event.buttons) return;
      const all = event.getCoalescedEvents?.() ?? [];
      for (const each of all.length ? all : [event]) {
        const { x, y } = this.spotAt(each);
        this.move(x, y);
      }
    });
    for (const type of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(type, (event) => event.isPrimary && this.end());
    }
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => this.end());
    for (const button of this.swatches) button.addEventListener("click", () => this.take(button.dataset.colour));
    this.colour.addEventListener("input", () => this.take(this.colour.value));
    this.breadth.addEventListener("input", () => this.widen(this.breadth.valueAsNumber));
    this.rub.addEventListener("click", () => this.erase(!this.eraser));
    this.back.addEventListener("click", () => this.undo());
    this.wipe.addEventListener("click", () => this.clear());
    this.white.addEventListener("click", () => this.start("#ffffff"));
    this.black.addEventListener("click", () => this.start("#000000"));
    this.over.addEventListener("click", () => this.owner.fetchGround());
  }

  take(colour) {
    this.ink = colour;
    this.erase(false);
  }

  erase(eraser) {
    this.eraser = eraser;
    this.draw();
  }

  widen(width) {
    this.width = clamp(width, 1, WIDEST);
    this.draw();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const undo = (event.ctrlKey || event.metaKey) && event.key === "z";
    if (!undo && (event.ctrlKey || event.metaKey || event.altKey)) return;
    const far = event.shiftKey ? 16 : 4;
    const actions = {
      ArrowLeft: () => this.step(-far, 0), ArrowRight: () => this.step(far, 0),
      ArrowUp: () => this.step(0, -far), ArrowDown: () => this.step(0, far),
      " ": () => (this.line ? this.end() : this.begin(this.at.x, this.at.y)),
      "[": () => this.widen(this.width - 1), "]": () => this.widen(this.width + 1),
      e: () => this.erase(!this.eraser), z: () => this.undo(), Delete: () => this.clear(),
    };
    const action = Object.hasOwn(actions, event.key) && actions[event.key];
    if (!action) return; // Tab, Escape and all others belong to the page.
    event.preventDefault();
    event.stopPropagation();
    action();
    put(this.where, `Pen ${this.line ? "down" : "up"} at x ${Math.round(this.at.x)}, y ${Math.round(this.at.y)}`);
    this.draw();
  }

  step(right, down) {
    const { at, size } = this;
    this.at = { x: clamp(at.x + right, 0, size), y: clamp(at.y + down, 0, size) };
    this.move(this.at.x, this.at.y);
  }

  draw() {
    const { at, size } = this;
    for (const button of this.swatches) {
      button.setAttribute("aria-pressed", String(!this.eraser && button.dataset.colour === this.ink));
    }
    this.colour.value = this.ink;
    this.breadth.value = String(this.width);
    put(this.breadthOut, `${this.width} px`);
    this.rub.setAttribute("aria-pressed", String(this.eraser));
    this.back.disabled = this.steps.length < 2;
    this.pointer.style.left = `${(100 * at.x) / size}%`;
    this.pointer.style.top = `${(100 * at.y) / size}%`;
    this.pointer.classList.toggle("cnnviz-pic-down", Boolean(this.line));
  }

  /** Where a pointer is, in the picture's pixels. */
  spotAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const { size } = this;
    this.at = {
      x: clamp(((event.clientX - box.left) * size) / box.width, 0, size),
      y: clamp(((event.clientY - box.top) * size) / box.height, 0, size),
    };
    return this.at;
  }
}
