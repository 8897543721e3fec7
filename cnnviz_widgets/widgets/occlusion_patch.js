/** The picture with the patch on it, which is dragged with the mouse and moved with the arrow keys. */

import { make } from "./front/elements.js";
import { fillWith, Pane } from "./front/pane.js";

const FAR = 8; // Pixels that Shift and an arrow key move the patch.

export class PatchPane {
  /** @param {import("./occlusion_state.js").Occlusion} state @param {() => void} changed */
  constructor(state, changed) {
    this.state = state;
    this.outline = make("div", { className: "cnnviz-oc-patch", hidden: true });
    this.drop = make("div", { className: "cnnviz-drop", textContent: "Drop a picture to open it" });
    this.pane = new Pane(changed, this.outline, this.drop);
    this.element = this.pane.element;
    this.layer = document.createElement("canvas"); // Picture and patch, one pixel for a pixel.
    this.stamp = document.createElement("canvas"); // What is seen under the patch.
    this.dragged = false;
    const { canvas } = this.pane;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-roledescription", "picture with a patch");
    canvas.classList.add("cnnviz-oc-drag");
    canvas.addEventListener("pointerdown", (event) => this.grab(event));
    canvas.addEventListener("pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      canvas.addEventListener(end, () => this.release());
    }
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  close() {
    this.pane.close();
  }

  draw() {
    const { pictures, place } = this.state;
    const patch = this.state.model.get("patch");
    this.element.hidden = !pictures;
    if (!pictures) return;
    const { width, height } = pictures;
    this.element.style.aspectRatio = `${width} / ${height}`;
    showPatch(this.outline, patch, place, pictures);
    const where = place ? `Patch of ${patch.w} by ${patch.h} pixels at x ${place.x}, y ${place.y}` : "No patch";
    this.pane.canvas.setAttribute("aria-label", `${where}. Drag it, or move it with the arrow keys.`);
    this.pane.paint([pictures, place?.y, place?.x, patch.h, patch.w, patch.round], (pen, across, down) => {
      const { layer } = this;
      if (layer.width !== width || layer.height !== height) [layer.width, layer.height] = [width, height];
      const ink = layer.getContext("2d");
      ink.drawImage(pictures.picture, 0, 0);
      if (place) ink.drawImage(this.cut(pictures.fill, patch, place), place.x, place.y);
      fillWith(pen, layer, across, down);
    });
  }

  /** The very pixels that the network sees under the patch. */
  cut(fill, { h, w, round }, place) {
    const { stamp } = this;
    [stamp.width, stamp.height] = [w, h]; // Empties it too.
    const pen = stamp.getContext("2d");
    if (round) {
      pen.putImageData(disc(h, w), 0, 0);
      pen.globalCompositeOperation = "source-in";
    }
    pen.drawImage(fill, -place.x, -place.y);
    return stamp;
  }

  grab(event) {
    if (event.button !== 0 || !this.state.place) return;
    event.preventDefault(); // No text is marked, and a picture behind is not dragged away.
    this.pane.canvas.focus({ preventScroll: true });
    this.pane.canvas.setPointerCapture(event.pointerId);
    this.dragged = true;
    this.pane.canvas.classList.add("cnnviz-oc-dragged");
    this.drag(event);
  }

  drag(event) {
    const { pictures } = this.state;
    if (!this.dragged || !pictures) return;
    const { y, x } = this.pane.spot(event);
    this.state.centre(Math.floor(y * pictures.height), Math.floor(x * pictures.width));
  }

  release() {
    if (!this.dragged) return;
    this.dragged = false;
    this.pane.canvas.classList.remove("cnnviz-oc-dragged");
    this.state.sync();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.state.place) return;
    const far = event.shiftKey ? FAR : 1;
    const actions = {
      ArrowLeft: () => this.state.nudge(0, -far), ArrowRight: () => this.state.nudge(0, far),
      ArrowUp: () => this.state.nudge(-far, 0), ArrowDown: () => this.state.nudge(far, 0),
      Home: () => this.state.home(),
    };
    const action = Object.hasOwn(actions, event.key) && actions[event.key];
    if (!action) return; // Tab, Escape and all others belong to the page.
    event.preventDefault();
    event.stopPropagation();
    action();
  }
}

/** Where a patch is, as a line around it. @param {HTMLElement} line */
export function showPatch(line, { h, w, round }, place, { width, height }) {
  line.hidden = !place;
  if (!place) return;
  Object.assign(line.style, {
    left: `${(100 * place.x) / width}%`, top: `${(100 * place.y) / height}%`,
    width: `${(100 * w) / width}%`, height: `${(100 * h) / height}%`, borderRadius: round ? "50%" : "0",
  });
}

/** Opaque where a disc covers: as `disc` in methods/occluders.py. */
function disc(h, w) {
  const image = new ImageData(w, h);
  for (let i = 0; i < h; i++) {
    for (let j = 0; j < w; j++) {
      const [y, x] = [((i + 0.5) / h) * 2 - 1, ((j + 0.5) / w) * 2 - 1];
      if (y * y + x * x <= 1) image.data[4 * (i * w + j) + 3] = 255;
    }
  }
  return image;
}
