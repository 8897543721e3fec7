/** The two blocks of a channel: where their cells are, and drawing them. */

export const MIDDLE = 6; // Between a channel's patches and their projections, in CSS pixels.
const SEAM = 1; // Between two cells of a block.
const EDGES = 8; // Around the tiles of a wall, as in front/shelf.js.
const USUAL = 118; // The side of a block that suits most screens.
const LIMITS = [48, 400];

/** The side of a block: what is wished, or what fills the width. */
export function blocksIn(room, wished, two) {
  if (wished) return wished;
  const parts = two ? 2 : 1;
  const least = parts * USUAL + (parts - 1) * MIDDLE;
  const columns = Math.max(1, Math.round((room - EDGES) / (least + EDGES)));
  const width = Math.floor((room - EDGES) / columns) - EDGES;
  return Math.min(LIMITS[1], Math.max(LIMITS[0], Math.floor((width - (parts - 1) * MIDDLE) / parts)));
}

/** The upper left corner of a cell in its block, and its side. */
export function placeOfCell(cell, side, columns) {
  const size = (side - (columns - 1) * SEAM) / columns;
  return { x: (cell % columns) * (size + SEAM), y: Math.floor(cell / columns) * (size + SEAM), size };
}

/**
 * The cell under the mouse, in either block.
 * @param {HTMLCanvasElement} canvas @param {PointerEvent} event @param {number} side of a block
 * @returns {number | null}
 */
export function cellAt(canvas, event, side, { columns, k }) {
  const box = canvas.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  const across = x >= side + MIDDLE ? x - side - MIDDLE : x;
  if (x < 0 || y < 0 || y >= side || across >= side) return null;
  const [column, row] = [across, y].map((length) => Math.min(columns - 1, Math.floor((length * columns) / side)));
  const cell = row * columns + column;
  return cell < k ? cell : null;
}

/**
 * Draw a sheet into its block of a canvas; without one the cells are left empty.
 * @param {HTMLCanvasElement} canvas
 * @param {import("./patch_grid.js").Sheet | undefined} sheet
 * @param {number} left @param {number} side in CSS pixels
 */
export function drawBlock(canvas, sheet, left, side, columns) {
  if (!sheet?.picture) return;
  const pen = canvas.getContext("2d");
  const density = canvas.height / side;
  for (let cell = 0; cell < sheet.count; cell++) {
    const { x, y, size } = placeOfCell(cell, side, columns);
    // Whole pixels of the screen, so that all cells look alike.
    const [x0, y0, x1, y1] = [left + x, y, left + x + size, y + size].map((length) => Math.round(length * density));
    fitted(pen, sheet, cell, { x: x0, y: y0, width: x1 - x0, height: y1 - y0 });
  }
}

/**
 * Draw one cell of a sheet as large as fits into a box of a canvas, in the middle of it.
 * @param {CanvasRenderingContext2D} pen
 * @param {import("./patch_grid.js").Sheet} sheet
 * @param {{ x: number, y: number, width: number, height: number }} box
 */
export function fitted(pen, sheet, cell, box) {
  const [width, height] = sheet.cell;
  const zoom = Math.min(box.width / width, box.height / height);
  const [across, down] = [Math.round(width * zoom), Math.round(height * zoom)];
  // Pixels with sharp edges; only where each would get an uneven share of few screen pixels are they smoothed.
  pen.imageSmoothingEnabled = across < 2 * width && across !== width;
  pen.imageSmoothingQuality = "high";
  const columns = Math.round(sheet.picture.width / sheet.pitch[0]);
  const from = [(cell % columns) * sheet.pitch[0], Math.floor(cell / columns) * sheet.pitch[1]];
  const to = [box.x + Math.floor((box.width - across) / 2), box.y + Math.floor((box.height - down) / 2)];
  pen.drawImage(sheet.picture, from[0], from[1], width, height, to[0], to[1], across, down);
}
