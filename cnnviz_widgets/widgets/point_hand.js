/**
 * The mouse, fingers and keys on a map.
 *
 * @typedef {"pan" | "lasso" | "box"} Mode  what a drag does
 */

export const REACH = 12; // CSS pixels from a point at which it is still meant.
const STILL = 4; // A drag begins beyond so many.
const CHAIN = 300; // Milliseconds for which a wheel that scrolled the page goes on doing so over the map.

export class PointHand {
  /** @param {any} map the view: what is said here happens there */
  constructor(map, element) {
    this.map = map;
    this.element = element;
    /** @type {Map<number, { x: number, y: number }>} the fingers, or the mouse while it is pressed */
    this.down = new Map();
    /** @type {{ x: number, y: number } | null} where it was pressed, until that is a drag */ this.pressed = null;
    /** @type {number[] | null} the corners of a lasso, in CSS pixels of the view */ this.corners = null;
    /** @type {Mode} */ this.mode = "pan";
    this.drawing = "lasso";
    this.scrolled = 0; // When the page was last scrolled by the wheel.
    const on = (type, call, options) => element.addEventListener(type, call, options);
    on("pointerdown", (event) => this.press(event));
    on("pointermove", (event) => this.move(event));
    on("pointerup", (event) => this.release(event));
    on("pointercancel", (event) => this.cancel(event));
    on("pointerleave", () => !this.down.size && map.point(null));
    on("wheel", (event) => this.wheel(event), { passive: false });
    on("dblclick", (event) => !event.shiftKey && this.mode === "pan" && map.fit());
    on("keydown", (event) => this.key(event));
    on("contextmenu", (event) => event.ctrlKey && event.preventDefault());
    this.elsewhere = (event) => {
      if (!element.contains(event.target)) this.scrolled = performance.now();
    };
    window.addEventListener("wheel", this.elsewhere, { capture: true, passive: true });
  }

  close() {
    window.removeEventListener("wheel", this.elsewhere, { capture: true });
  }

  /** @param {PointerEvent | WheelEvent} event */
  spot(event) {
    const box = this.element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  // ------------------------------------------------------------------------------------------ mouse and fingers

  press(event) {
    if (event.button !== 0 || event.target.closest("button")) return;
    this.element.setPointerCapture(event.pointerId);
    const spot = this.spot(event);
    this.down.set(event.pointerId, spot);
    if (this.down.size > 1) {
      this.drop();
      this.pressed = null;
      return;
    }
    this.pressed = spot;
    if (event.shiftKey || this.mode !== "pan") {
      this.drawing = this.mode === "box" ? "box" : "lasso";
      this.corners = [spot.x, spot.y];
    }
  }

  move(event) {
    const spot = this.spot(event);
    const before = this.down.get(event.pointerId);
    if (!before) return this.map.point(spot);
    if (this.down.size === 2) return this.pinch(event.pointerId, spot);
    if (this.pressed && Math.hypot(spot.x - this.pressed.x, spot.y - this.pressed.y) < STILL) return;
    this.pressed = null;
    this.map.point(null);
    if (this.corners) this.extend(event);
    else this.map.pan(spot.x - before.x, spot.y - before.y);
    this.down.set(event.pointerId, spot);
  }

  /** Draw the lasso on. */
  extend(event) {
    const { corners } = this;
    if (this.drawing === "box") {
      const { x, y } = this.spot(event);
      corners.splice(2, Infinity, x, corners[1], x, y, corners[0], y);
    } else {
      for (const each of event.getCoalescedEvents?.() ?? [event]) {
        const { x, y } = this.spot(each);
        if (Math.hypot(x - corners.at(-2), y - corners.at(-1)) >= 2) corners.push(x, y);
      }
    }
    this.map.schedule("over");
  }

  pinch(id, spot) {
    const [other] = [...this.down].filter(([key]) => key !== id).map(([, place]) => place);
    const before = this.down.get(id);
    this.down.set(id, spot);
    const times = Math.hypot(spot.x - other.x, spot.y - other.y) / (Math.hypot(before.x - other.x, before.y - other.y) || 1);
    this.map.pan((spot.x - before.x) / 2, (spot.y - before.y) / 2);
    if (times > 0) this.map.zoom(times, (spot.x + other.x) / 2, (spot.y + other.y) / 2);
  }

  release(event) {
    if (!this.down.delete(event.pointerId)) return;
    const { corners } = this;
    this.corners = null;
    if (this.pressed) this.map.click(this.spot(event), howOf(event));
    else if (corners) this.map.enclose(corners, howOf(event) ?? "only");
    this.pressed = null;
    this.map.schedule("over");
  }

  cancel(event) {
    this.down.delete(event.pointerId);
    this.pressed = null;
    this.drop();
  }

  /** Give up the lasso. @returns {boolean} whether there was one */
  drop() {
    if (!this.corners) return false;
    this.corners = null;
    this.map.schedule("over");
    return true;
  }

  wheel(event) {
    const now = performance.now();
    // Who scrolls the page past the map does not mean the map.
    if (now - this.scrolled < CHAIN && !event.ctrlKey) {
      this.scrolled = now;
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    const lines = event.deltaMode === 1 ? 18 : event.deltaMode === 2 ? 400 : 1;
    const by = Math.max(-200, Math.min(200, event.deltaY * lines)) * (event.ctrlKey ? 4 : 1);
    const { x, y } = this.spot(event);
    this.map.zoom(2 ** (-by / 240), x, y);
  }

  // ------------------------------------------------------------------------------------------ keys

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.element) return;
    const { map } = this;
    const actions = {
      ArrowLeft: () => map.walk(-1, 0, event.shiftKey), ArrowRight: () => map.walk(1, 0, event.shiftKey),
      ArrowUp: () => map.walk(0, 1, event.shiftKey), ArrowDown: () => map.walk(0, -1, event.shiftKey),
      Enter: () => map.choose(), " ": () => map.toggle(),
      "+": () => map.zoom(1.5), "=": () => map.zoom(1.5), "-": () => map.zoom(1 / 1.5), "0": () => map.fit(),
      l: () => map.turn(this.mode === "lasso" ? "pan" : "lasso"),
      b: () => map.turn(this.mode === "box" ? "pan" : "box"),
      ...(map.clearable() || this.corners ? { Escape: () => this.drop() || map.clear() } : {}),
    };
    const action = Object.hasOwn(actions, event.key) && actions[event.key];
    if (!action) return; // Tab and all others belong to the page, and Escape when there is nothing to clear.
    event.preventDefault();
    event.stopPropagation();
    action();
  }
}

/** What a click or a lasso does to what is selected. @returns {"more" | "less" | null} */
const howOf = (event) => (event.altKey ? "less" : event.ctrlKey || event.metaKey ? "more" : null);
