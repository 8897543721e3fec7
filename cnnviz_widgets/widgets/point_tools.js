/** The buttons of a map: what a drag does, zooming, what is written, the colours of numbers, and help. */

import { ColourMenu } from "./front/colour_menu.js";
import { keysHelp, make, put } from "./front/elements.js";
import { change } from "./front/link.js";
import { counted } from "./point_read.js";

const KEYS = [
  ["← ↑ → ↓", "to the next point in that direction (Shift: move the map)"], ["Enter", "select the point"],
  ["Space", "add it to the selection, or take it out"], ["+ − 0", "closer, farther, everything"],
  ["L, B", "draw a lasso, a box"], ["Escape", "leave the lasso; select nothing"],
  ["Shift-drag", "lasso at any time (Ctrl adds, Alt takes out)"], ["double click", "everything"],
];

export class PointTools {
  /** @param {any} map the view on which the buttons work */
  constructor(model, state, map) {
    Object.assign(this, { model, state, map });
    const button = (text, title, click) => {
      const made = make("button", { type: "button", textContent: text, title });
      if (text.length === 1) made.setAttribute("aria-label", title);
      made.addEventListener("click", click);
      return made;
    };
    this.zooms = make(
      "div", { className: "cnnviz-points-zooms" },
      button("+", "Closer (+)", () => map.zoom(1.5)),
      button("−", "Farther (-)", () => map.zoom(1 / 1.5)),
      button("⤢", "Show everything (0)", () => map.fit()),
    );
    for (const type of ["pointerdown", "pointermove", "dblclick"]) {
      this.zooms.addEventListener(type, (event) => event.stopPropagation());
    }
    this.modes = new Map([
      ["pan", button("Move", "Drag moves the map", () => map.turn("pan"))],
      ["lasso", button("Lasso", "Drag draws a lasso (L)", () => map.turn("lasso"))],
      ["box", button("Box", "Drag draws a box (B)", () => map.turn("box"))],
    ]);
    const group = make("div", { className: "cnnviz-points-modes" }, ...this.modes.values());
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", "What a drag does");
    this.clear = button("Clear selection", "Select nothing (Escape)", () => state.select([]));
    this.checks = new Map([["labels", "Names"], ["pictures", "Thumbnails"]].map(([trait, name]) => {
      const box = make("input", { type: "checkbox" });
      box.addEventListener("change", () => change(model, { [trait]: box.checked }));
      return [trait, { box, field: make("label", { className: "cnnviz-points-check" }, box, name) }];
    }));
    this.colours = new ColourMenu(model);
    this.open = button("Open picture…", "Or drop or paste one here", () => map.file.click());
    const fields = [...this.checks.values()].map(({ field }) => field);
    this.element = make(
      "div", { className: "cnnviz-tools" }, group, this.clear, ...fields, this.colours.field, this.open, keysHelp(KEYS),
    );
  }

  /** @param {import("./point_hand.js").Mode} mode @param {boolean} some whether there are points */
  draw(mode, some) {
    const { model, state } = this;
    this.element.hidden = !model.get("toolbar");
    for (const [name, button] of this.modes) {
      button.setAttribute("aria-pressed", String(name === mode));
      button.disabled = !some;
    }
    this.clear.hidden = !state.chosenCount;
    put(this.clear, `Clear selection (${counted(state.chosenCount)})`);
    for (const [trait, { box }] of this.checks) box.checked = model.get(trait);
    this.checks.get("pictures").field.hidden = !state.thumbnails.some;
    this.colours.field.hidden = !state.groups.values;
    this.colours.draw(false);
    this.open.hidden = !model.get("openable");
  }
}
