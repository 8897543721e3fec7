/** The tools under a wall of patches: order, channel, size. */

import { clamp, keysHelp, make } from "./front/elements.js";
import { change } from "./front/link.js";

const BLOCK_SIZES = { least: 48, most: 400, factor: 1.25 };
const ORDERS = { channel: "by number", activation: "strongest first", purity: "one class first" };
const PATCH_KEYS = [
  ["← ↑ → ↓", "walk from channel to channel"], ["Home End", "first, last channel"], ["Page↑ Page↓", "a screen up, down"],
  ["o", "next order"], ["+ − 0", "larger, smaller, usual patches"], ["#", "go to a channel"],
];

/** What each tool does is also a method, for the keys. */
export class PatchTools {
  /** @param {(channel: number) => void} select called with the channel that is to be gone to */
  constructor(model, select) {
    this.model = model;
    this.side = 0; // Of a block as it was drawn last.
    this.count = 0;
    const field = (name, input) =>
      make("label", { className: "cnnviz-field" }, make("span", { textContent: name }), input);
    this.order = make("select", {});
    this.jump = make("input", { type: "number", min: "0", className: "cnnviz-jump", placeholder: "#" });
    this.range = make("input", { type: "range", min: "0", max: "100", step: "1" });
    const less = make("button", { type: "button", textContent: "−", title: "Smaller patches" });
    const more = make("button", { type: "button", textContent: "+", title: "Larger patches" });
    for (const button of [less, more]) button.setAttribute("aria-label", button.title);
    const sizes = make("div", { className: "cnnviz-sizes" }, field("Patch size", this.range), less, more);
    this.element = make("div", { className: "cnnviz-tools" });
    this.element.append(field("Order", this.order), field("Channel", this.jump), sizes, keysHelp(PATCH_KEYS));

    this.order.addEventListener("change", () => change(model, { order: this.order.value }));
    this.jump.addEventListener("change", () => {
      const channel = this.jump.valueAsNumber;
      if (channel >= 0 && channel < this.count) select(Math.floor(channel));
    });
    this.range.addEventListener("input", () => change(model, { tile_size: blockAt(this.range.valueAsNumber / 100) }));
    less.addEventListener("click", () => this.smaller());
    more.addEventListener("click", () => this.larger());
  }

  larger() {
    this.resize(BLOCK_SIZES.factor);
  }

  smaller() {
    this.resize(1 / BLOCK_SIZES.factor);
  }

  /** As large as fills the width. */
  usual() {
    change(this.model, { tile_size: 0 });
  }

  resize(factor) {
    const now = this.model.get("tile_size") || this.side;
    change(this.model, { tile_size: clamp(Math.round(now * factor), BLOCK_SIZES.least, BLOCK_SIZES.most) });
  }

  nextOrder() {
    const names = [...this.order.options].map(({ value }) => value);
    change(this.model, { order: names[(names.indexOf(this.model.get("order")) + 1) % names.length] });
  }

  /** @param {any} layer or null @param {number} side of a block @param {number | null} selected */
  draw(layer, side, selected) {
    const { model } = this;
    this.element.hidden = !layer;
    if (!layer) return;
    this.count = layer.count;
    this.side = side;
    const names = ["channel", ...Object.keys(layer.orders).filter((name) => name !== "channel")];
    if (names.join("\n") !== [...this.order.options].map(({ value }) => value).join("\n")) {
      this.order.replaceChildren(...names.map((value) => make("option", { value, textContent: ORDERS[value] ?? value })));
    }
    this.order.value = model.get("order");
    this.range.value = String(Math.round(100 * shareOfBlock(side)));
    this.range.setAttribute("aria-valuetext", model.get("tile_size") ? `${side} pixels` : "automatic");
    this.jump.max = String(layer.count - 1);
    if (document.activeElement !== this.jump) this.jump.value = selected === null ? "" : String(selected);
  }
}

const blockAt = (share) => Math.round(BLOCK_SIZES.least * (BLOCK_SIZES.most / BLOCK_SIZES.least) ** share);
const shareOfBlock = (side) =>
  clamp(Math.log(side / BLOCK_SIZES.least) / Math.log(BLOCK_SIZES.most / BLOCK_SIZES.least), 0, 1);
