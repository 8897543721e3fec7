/** Where the tiles of a wall are. All lengths are CSS pixels. */

import { clamp } from "./elements.js";

const GAP = 8; // Between tiles; the ring of the selected one is drawn in it.
const STRIP = 16; // Under a tile, for its number.
const LEGIBLE = 26; // A narrower tile has no number.
const LARGEST = 256; // Of tiles whose size is chosen here.

/**
 * @typedef {{ columns: number, rows: number, width: number, height: number, across: number, down: number,
 *   strip: number, total: number }} Wall
 *   width, height: of a tile; across, down: from one to the next; total: how high all rows are
 */

/**
 * @param {{ count: number, width: number, height: number }} layer
 * @param {{ width: number, height: number }} room what is seen at once
 * @param {number} size the longer side of a tile, or 0: as large as lets all be seen, else six to eight in a row
 * @returns {Wall}
 */
export function wallOf(layer, room, size) {
  if (size) return built(layer, room, sides(layer, size));
  // A single value needs no more room than its number.
  const most = layer.width * layer.height > 1 ? clamp(Math.round(room.width / 105), 3, 8) : Math.ceil(room.width / 52);
  for (let columns = 1; columns < most; columns++) {
    const wall = inColumns(layer, room, columns);
    if (wall.total <= room.height) return wall;
  }
  return inColumns(layer, room, most);
}

/** The upper left corner of a tile, seen from the top of the wall. */
export function cornerOf({ columns, across, down }, place) {
  return { x: GAP + (place % columns) * across, y: GAP + Math.floor(place / columns) * down };
}

/** The places of the tiles in sight: [start, stop). */
export function inSight({ columns, down }, count, top, height) {
  const start = clamp(Math.floor(top / down) * columns, 0, count);
  return { start, stop: clamp(Math.ceil((top + height) / down) * columns, start, count) };
}

/** What is at a point of the wall: the place of its tile, and where in its map, 0 to 1, or null under it. */
export function hitOf(wall, count, x, y) {
  const column = Math.floor((x - GAP / 2) / wall.across);
  const place = Math.floor((y - GAP / 2) / wall.down) * wall.columns + column;
  if (column < 0 || column >= wall.columns || y < GAP / 2 || place >= count) return null;
  const corner = cornerOf(wall, place);
  const inside = { x: (x - corner.x) / wall.width, y: (y - corner.y) / wall.height };
  const within = inside.x >= 0 && inside.x < 1 && inside.y >= 0 && inside.y < 1;
  return { place, inside: within ? inside : null };
}

/** How far to scroll, at least, so that a tile is seen as a whole. */
export function reveal(wall, place, top, height) {
  const upper = Math.floor(place / wall.columns) * wall.down;
  return clamp(top, upper + wall.down + GAP - height, upper);
}

function inColumns(layer, room, columns) {
  const width = Math.min(LARGEST, Math.floor((room.width - GAP) / columns) - GAP);
  const longer = layer.height > layer.width ? (width * layer.height) / layer.width : width;
  return built(layer, room, sides(layer, clamp(longer, 8, LARGEST)));
}

/** Width and height of a tile whose longer side is this; none so narrow that it could not be hit. */
function sides({ width, height }, size) {
  const longer = Math.max(width, height);
  return [Math.max(8, Math.floor((size * width) / longer)), Math.max(8, Math.floor((size * height) / longer))];
}

function built({ count }, room, [width, height]) {
  const strip = width < LEGIBLE ? 0 : STRIP;
  const [across, down] = [width + GAP, height + strip + GAP];
  const columns = Math.max(1, Math.floor((room.width - GAP) / across));
  const rows = Math.ceil(count / columns);
  return { columns, rows, width, height, across, down, strip, total: rows * down + GAP };
}
