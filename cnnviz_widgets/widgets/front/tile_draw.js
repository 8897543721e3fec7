/**
 * What is drawn of a tile: its map, its ring, its number, the outline of a cell.
 *
 * @typedef {{ left: number, upper: number, width: number, height: number }} Box  of a map, in the canvas's pixels
 * @typedef {{ ink: string, faint: string, sunken: string, accent: string, line: string, font: string,
 *   density: number }} Style
 */

/** The colours and the font of the page as it is now. @param {Element} element @returns {Style} */
export function styleOf(element, density) {
  const styles = getComputedStyle(element);
  const [ink, faint, sunken, accent, line] = ["--ink", "--faint", "--sunken", "--accent", "--line"].map((name) =>
    styles.getPropertyValue(name).trim(),
  );
  return { ink, faint, sunken, accent, line, font: styles.fontFamily, density };
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Box} box
 * @param {{ pixels: CanvasImageSource, cells: number, lines: number } | null} map
 *   its pixels, and how many of them cover the box: the last ones of a coarse map reach over the edge
 * @param {Style} style
 */
export function drawMap(pen, { left, upper, width, height }, map, style) {
  if (map) {
    // Cells have sharp edges; only where several of them share a pixel are they smoothed.
    pen.imageSmoothingEnabled = width < map.cells || height < map.lines;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(map.pixels, 0, 0, map.cells, map.lines, left, upper, width, height);
  } else {
    pen.fillStyle = style.sunken;
    pen.fillRect(left, upper, width, height);
  }
  pen.lineWidth = Math.round(style.density); // A pale map ends somewhere, too.
  frame(pen, { left, upper, width, height }, pen.lineWidth / 2, style.line);
}

/** Around the selected tile, on the page's own ground: seen beside bright and dark maps. @param {Style} style */
export function drawRing(pen, box, style) {
  pen.lineWidth = Math.round(3 * style.density);
  frame(pen, box, pen.lineWidth / 2 + Math.round(style.density), style.accent);
}

/** @param {string | undefined} name @param {Style} style */
export function drawNumber(pen, { left, upper, width, height }, channel, name, selected, style) {
  const font = `${11 * style.density}px ${style.font}`;
  pen.font = `${selected ? 700 : 400} ${font}`;
  pen.textBaseline = "top";
  pen.fillStyle = selected ? style.accent : style.ink;
  const y = upper + height + Math.round(5 * style.density);
  pen.fillText(String(channel), left, y);
  if (!name) return;
  const from = pen.measureText(`${channel} `).width;
  [pen.font, pen.fillStyle] = [font, style.faint];
  pen.fillText(shortened(pen, name, width - from), left + from, y);
}

/** Outline a cell in black and white: one of them is seen on any colour. @param {{ x: number, y: number }} cell */
export function drawCell(pen, { left, upper, width, height }, { x, y }, layer, density) {
  const [x0, x1] = [x, x + 1].map((column) => left + Math.round((column * width) / layer.width));
  const [y0, y1] = [y, y + 1].map((row) => upper + Math.round((row * height) / layer.height));
  const box = { left: x0, upper: y0, width: x1 - x0, height: y1 - y0 };
  pen.lineWidth = Math.max(1, Math.round(density));
  frame(pen, box, 0.5 * pen.lineWidth, "#fff");
  frame(pen, box, 1.5 * pen.lineWidth, "#000");
}

function frame(pen, { left, upper, width, height }, out, colour) {
  pen.strokeStyle = colour;
  pen.strokeRect(left - out, upper - out, width + 2 * out, height + 2 * out);
}

/** As much of a text as is not wider than this. */
function shortened(pen, text, width) {
  if (pen.measureText(text).width <= width) return text;
  let end = text.length;
  while (end > 0 && pen.measureText(`${text.slice(0, end)}…`).width > width) end--;
  return end ? `${text.slice(0, end)}…` : "";
}
