/** Tiles become pixels: every cell one pixel, its colour from the tables, by the formula of views/colour.py. */

import { indexOf, level } from "./colours.js";
import { halves, valueOf } from "./tiles.js";

const PIXELS_KEPT = 6e6;

/**
 * What tiles look like, and the pixels of those that were painted lately.
 *
 * @typedef {import("./tiles.js").Tile} Tile
 * @typedef {import("./colours.js").Scale} Scale
 */
export class Painter {
  constructor() {
    /** @type {Map<Tile, OffscreenCanvas>} */ this.done = new Map();
    this.pixels = 0;
    /** @type {unknown[]} */ this.look = [];
  }

  /** What the colours depend on, beside the tile; whatever was painted otherwise is forgotten. @param {unknown[]} look */
  wear(...look) {
    if (look.length === this.look.length && look.every((value, i) => value === this.look[i])) return;
    this.look = look;
    this.done.clear();
    this.pixels = 0;
  }

  /** @param {Tile} tile @param {Scale} scale @param {Uint8Array} table 256 colours RGBA @returns {OffscreenCanvas} */
  paint(tile, scale, table) {
    const known = this.done.get(tile);
    if (known) this.done.delete(tile);
    const canvas = known ?? canvasOf(tile.planes === 3 ? colouredTile(tile, scale) : mappedTile(tile, scale, table));
    this.done.set(tile, canvas);
    if (!known) this.pixels += canvas.width * canvas.height;
    while (this.pixels > PIXELS_KEPT && this.done.size > 1) {
      const [oldest, its] = this.done.entries().next().value;
      this.done.delete(oldest);
      this.pixels -= its.width * its.height;
    }
    return canvas;
  }
}

function mappedTile(tile, { lo, hi, signed }, table) {
  const image = new ImageData(tile.width, tile.height);
  const out = new Uint32Array(image.data.buffer);
  const inks = new Uint32Array(table.slice().buffer);
  const { codes } = tile;
  if (tile.half) {
    const numbers = halves();
    for (let i = 0; i < out.length; i++) {
      const value = numbers[codes[i]] * tile.factor;
      out[i] = value === value ? inks[indexOf(value, lo, hi, signed)] : 0;
    }
    return image;
  }
  const ink = new Uint32Array(256); // NaN, the last one, stays transparent.
  for (let code = 0; code < 255; code++) {
    ink[code] = inks[indexOf(tile.base + (code - tile.zero) * tile.each, lo, hi, signed)];
  }
  for (let i = 0; i < out.length; i++) out[i] = ink[codes[i]];
  return image;
}

function colouredTile(tile, { hi, signed }) {
  const image = new ImageData(tile.width, tile.height);
  const size = tile.width * tile.height;
  for (let i = 0; i < size; i++) {
    let known = true;
    for (let c = 0; c < 3; c++) {
      const value = valueOf(tile, c * size + i);
      known &&= value === value;
      image.data[4 * i + c] = level(value, hi, signed);
    }
    image.data[4 * i + 3] = known ? 255 : 0;
  }
  return image;
}

function canvasOf(image) {
  const canvas = new OffscreenCanvas(image.width, image.height); // Half as dear as an element, and walls have hundreds.
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}
