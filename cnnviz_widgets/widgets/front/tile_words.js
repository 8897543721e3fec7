/** What is known of a channel and of a cell of its map, in numbers and in words. */

import { valueOf } from "./tiles.js";
import { say } from "./words.js";

/**
 * As pairs of a name and a value.
 * @param {import("./tiles.js").TileLayer} layer
 * @param {{ channel: number, y?: number, x?: number }} spot
 * @param {string} value of the cell, as `valueAt` says it
 * @param {number | null} place of the channel, where that is worth saying
 * @returns {[string, string][]}
 */
export function wordsOf(layer, spot, value, place) {
  const { channel } = spot;
  const name = layer.names?.[channel];
  /** @type {[string, string][]} */ const words = [["channel", name ? `${channel} ${name}` : String(channel)]];
  if ("y" in spot) words.push(["position", `y ${spot.y}, x ${spot.x}`], ["value", value]);
  const [maximum, mean] = [layer.maximum[channel], layer.mean[channel]];
  const rounding = Math.abs(mean) < 1e-7 * Math.abs(maximum); // What is left of sums that cancel.
  words.push(["max", say(maximum, 3)], ["mean", say(rounding ? 0 : mean, 3)]);
  if (place !== null) words.push(["place", `${place + 1} of ${layer.count}`]);
  return words;
}

/** The value of a cell; ≈ where what is here is not the exact one. @param {import("./tiles.js").Tile} tile */
export function valueAt(tile, { y, x }) {
  const at = Math.floor(y / tile.step) * tile.width + Math.floor(x / tile.step);
  const size = tile.width * tile.height;
  const about = tile.half && tile.step === 1 ? "" : "≈ ";
  const values = Array.from({ length: tile.planes }, (_, plane) => say(valueOf(tile, plane * size + at), 3));
  return about + (tile.planes === 3 ? values.map((value, i) => `${"rgb"[i]} ${value}`).join(", ") : values[0]);
}

/** The cell of the largest value of a map; of colours, of the largest magnitude. */
export function strongestOf(tile) {
  const size = tile.width * tile.height;
  let [best, most] = [0, -Infinity];
  for (let i = 0; i < tile.codes.length; i++) {
    const value = tile.planes === 3 ? Math.abs(valueOf(tile, i)) : valueOf(tile, i);
    if (value > most) [best, most] = [i % size, value];
  }
  return { y: Math.floor(best / tile.width) * tile.step, x: (best % tile.width) * tile.step };
}
