/** How points look: the colours of the page, those of the groups, and how large and how dense the points are. */

import { clamp } from "./front/elements.js";
import { packed } from "./point_paint.js";

const SMALLEST = 0.9; // CSS pixels.
const LARGEST_POINT = 7;

/** The colours and the font of the page as it is now. @param {Element} element */
export function pointStyle(element, density) {
  const styles = getComputedStyle(element);
  const [ink, faint, accent, paper, alarm] = ["--ink", "--faint", "--accent", "--paper", "--alarm"].map((name) =>
    styles.getPropertyValue(name).trim(),
  );
  const [dark, grey, own] = [ink, faint, accent].map((colour) => rgbOf(colour));
  const ground = packed(...rgbOf(paper));
  return { ink, faint, accent, paper, alarm, grey, own, ground, packedInk: packed(...dark), font: styles.fontFamily, density };
}

/** Red, green and blue of a colour, however it is written. */
function rgbOf(colour) {
  const pen = make1x1();
  pen.fillStyle = colour || "#888";
  pen.fillRect(0, 0, 1, 1);
  return [...pen.getImageData(0, 0, 1, 1).data.subarray(0, 3)];
}

function make1x1() {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [1, 1];
  return canvas.getContext("2d", { willReadFrequently: true });
}

/**
 * @param {import("./point_state.js").PointState} state
 * @param {import("./point_view.js").PointView} view
 * @param {{ lo: number, hi: number, signed: boolean } | null} scale of the values, if they colour
 * @param {Uint8Array} table 256 colours RGBA
 */
export function pointLook(state, view, style, scale, table) {
  const { groups } = state;
  const zoom = Math.max(view.zoom, 0.25);
  // How far apart points would be if they lay evenly, in CSS pixels.
  const apart = Math.sqrt((view.width * view.height) / Math.max(1, state.count));
  const radius = clamp(0.26 * apart * zoom ** 0.4, SMALLEST, clamp(0.3 * apart * zoom, SMALLEST, LARGEST_POINT));
  const alpha = clamp(0.12 * apart * Math.sqrt(zoom), 0.5, 1);
  const colours = scale ? ofTable(table, style.grey) : ofGroups(groups, style);
  const tints = groups.tints(scale);
  return {
    radius: Math.max(SMALLEST, Math.round(radius * 8) / 8), // Few sizes, so that their stamps are kept.
    alpha: Math.round(alpha * 32) / 32,
    faint: 0.14,
    colours,
    tints,
    /** @param {number} number */
    colourOf(number) {
      const colour = colours[tints[state.rank[number]]];
      return `rgb(${colour & 255} ${(colour >> 8) & 255} ${(colour >> 16) & 255})`;
    },
  };
}

/** The colours of the table, and grey for what has no value. */
function ofTable(table, grey) {
  const colours = new Int32Array(257).fill(packed(...grey));
  for (let i = 0; i < 256; i++) colours[i] = packed(table[4 * i], table[4 * i + 1], table[4 * i + 2]);
  return colours;
}

/** The colours of the groups, and at their end the one of points without a group. */
function ofGroups(groups, { grey, own }) {
  const colours = new Int32Array(groups.named + 1).fill(packed(...(groups.numbers ? grey : own)));
  for (const { number, colour } of groups.list) if (colour) colours[number] = packed(...colour);
  return colours;
}
