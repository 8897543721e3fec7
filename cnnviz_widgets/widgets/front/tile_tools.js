/** The tools under a wall of tiles: order, channel, lock, tile size, colours. */

import { ColourMenu } from "./colour_menu.js";
import { clamp, keysHelp, make, padlock, showLock } from "./elements.js";
import { change } from "./link.js";

const SIZES = { least: 16, most: 384, factor: 1.25 };
const USUAL = { channel: "by number", activation: "strongest first" };
const TILE_KEYS = [
  ["← ↑ → ↓", "walk from tile to tile"], ["Home End", "first, last tile"], ["Page↑ Page↓", "a screen up, down"],
  ["Shift + ← ↑ → ↓", "walk from cell to cell in the tile"], ["Enter", "choose that cell (or the strongest one)"],
  ["o", "next order"], ["l", "one scale for all"], ["+ − 0", "larger, smaller, usual tiles"], ["c", "next colours"],
  ["#", "go to a channel"],
];

/** What each tool does is also a method, for the keys. */
export class TileTools {
  /** @param {(channel: number) => void} select called with the channel that is to be gone to */
  constructor(model, select) {
    this.model = model;
    this.size = 96; // Of a tile as it was drawn last.
    this.count = 0;
    const field = (name, input) =>
      make("label", { className: "cnnviz-field" }, make("span", { textContent: name }), input);
    this.order = make("select", {});
    this.jump = make("input", { type: "number", min: "0", className: "cnnviz-jump", placeholder: "#" });
    this.lock = make("button", { type: "button", className: "cnnviz-lock" }, padlock(), "Lock scale");
    this.lock.title = "One scale for all tiles, to compare them";
    this.range = make("input", { type: "range", min: "0", max: "100", step: "1" });
    const less = make("button", { type: "button", textContent: "−", title: "Smaller tiles" });
    const more = make("button", { type: "button", textContent: "+", title: "Larger tiles" });
    for (const button of [less, more]) button.setAttribute("aria-label", button.title);
    const sizes = make("div", { className: "cnnviz-sizes" }, field("Tile size", this.range), less, more);
    this.colours = new ColourMenu(model);
    this.element = make(
      "div", { className: "cnnviz-tools" },
      field("Order", this.order), field("Channel", this.jump), this.lock, sizes, this.colours.field, keysHelp(TILE_KEYS),
    );

    this.order.addEventListener("change", () => change(model, { order: this.order.value }));
    this.jump.addEventListener("change", () => {
      const channel = this.jump.valueAsNumber;
      if (channel >= 0 && channel < this.count) select(Math.floor(channel));
    });
    this.lock.addEventListener("click", () => this.toggleLock());
    this.range.addEventListener("input", () => change(model, { tile_size: sizeAt(this.range.valueAsNumber / 100) }));
    less.addEventListener("click", () => this.smaller());
    more.addEventListener("click", () => this.larger());
  }

  toggleLock() {
    const locked = !this.model.get("locked");
    change(this.model, locked ? { locked } : { locked, scale: null });
  }

  larger() {
    this.resize(SIZES.factor);
  }

  smaller() {
    this.resize(1 / SIZES.factor);
  }

  /** As large as fits the width best. */
  usual() {
    change(this.model, { tile_size: 0 });
  }

  resize(factor) {
    const now = this.model.get("tile_size") || this.size;
    change(this.model, { tile_size: clamp(Math.round(now * factor), SIZES.least, SIZES.most) });
  }

  nextOrder() {
    const names = [...this.order.options].map(({ value }) => value);
    change(this.model, { order: names[(names.indexOf(this.model.get("order")) + 1) % names.length] });
  }

  /**
   * @param {import("./tiles.js").TileLayer | null} layer
   * @param {import("./wall.js").Wall | null} wall
   * @param {number | null} selected
   */
  draw(layer, wall, selected) {
    const { model } = this;
    this.element.hidden = !model.get("toolbar");
    this.count = layer?.count ?? 0;
    const own = Object.keys(layer?.orders ?? { activation: 0 }).filter((name) => name !== "channel");
    const names = ["channel", ...own];
    if (names.join("\n") !== [...this.order.options].map(({ value }) => value).join("\n")) {
      const options = names.map((value) => make("option", { value, textContent: USUAL[value] ?? `by ${value}` }));
      this.order.replaceChildren(...options);
    }
    this.order.value = model.get("order");
    this.size = model.get("tile_size") || (wall ? Math.max(wall.width, wall.height) : 96);
    this.range.value = String(Math.round(100 * shareOf(this.size)));
    this.range.setAttribute("aria-valuetext", model.get("tile_size") ? `${this.size} pixels` : "automatic");
    this.colours.draw(Boolean(layer?.color));
    showLock(this.lock, model.get("locked"));
    this.jump.max = String(Math.max(0, this.count - 1));
    if (document.activeElement !== this.jump) this.jump.value = selected === null ? "" : String(selected);
  }
}

/** The slider is fine where tiles are small. */
const sizeAt = (share) => Math.round(SIZES.least * (SIZES.most / SIZES.least) ** share);
const shareOf = (size) => clamp(Math.log(size / SIZES.least) / Math.log(SIZES.most / SIZES.least), 0, 1);
