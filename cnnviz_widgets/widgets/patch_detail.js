/** The patches of the chosen channel one by one, each over its projection, large enough to be looked at. */

import { make } from "./front/elements.js";
import { fitted } from "./patch_blocks.js";

const SIDE = 92; // Of a patch, in CSS pixels.

export class PatchDetail {
  constructor() {
    this.title = make("h4", {});
    this.list = make("div", { className: "cnnviz-pairs" });
    this.element = make("div", { className: "cnnviz-detail", hidden: true }, this.title, this.list);
    this.drawn = [];
  }

  /**
   * @param {import("./patch_grid.js").Pair | null} pair what there is of the channel; null: none is chosen
   * @param {string} title
   */
  draw(pair, title) {
    const seen = [pair?.patches, pair?.projections, title, devicePixelRatio];
    this.element.hidden = !pair?.patches?.picture;
    if (this.element.hidden || seen.every((value, i) => value === this.drawn[i])) return;
    this.drawn = seen;
    this.title.textContent = title;
    const { patches, projections } = pair;
    const one = (cell) => {
      const words = (patches.words[cell] ?? []).slice(0, 2).map(([, value]) => value);
      const caption = make("figcaption", {}, ...words.map((word) => make("div", { textContent: word })));
      const about = (patches.words[cell] ?? []).map((word) => word.join(" ")).join("\n");
      const pictures = [patches, projections].filter((sheet) => sheet?.picture).map((sheet) => pictureOf(sheet, cell));
      return make("figure", { title: about }, ...pictures, caption);
    };
    this.list.replaceChildren(...Array.from({ length: patches.count }, (_, cell) => one(cell)));
  }
}

/** One cell of a sheet, as large as the screen shows it. */
function pictureOf(sheet, cell) {
  const canvas = make("canvas", {});
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", sheet.part === "patches" ? `patch ${cell + 1}` : `projection of patch ${cell + 1}`);
  canvas.width = canvas.height = Math.round(SIDE * devicePixelRatio);
  Object.assign(canvas.style, { width: `${SIDE}px`, height: `${SIDE}px` });
  fitted(canvas.getContext("2d"), sheet, cell, { x: 0, y: 0, width: canvas.width, height: canvas.height });
  return canvas;
}
