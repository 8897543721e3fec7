/**
 * Values become colours by the formula and the tables of cnnviz_widgets/views/colour.py.
 *
 * @typedef {{ lo: number, hi: number, signed: boolean }} Scale
 */

/** Which of the 256 colours: as colorize in views/colour.py. */
export function indexOf(value, lo, hi, signed) {
  if (hi === lo) return signed ? 128 : 0;
  return Math.min(255, Math.max(0, Math.floor(((value - lo) / (hi - lo)) * 256)));
}

/** The brightness of one channel of a colour attribution: as color_attribution in views/colour.py. */
export function level(value, limit, signed) {
  const place = limit ? value / limit : 0;
  return Math.round(signed ? 128 + 127 * Math.min(1, Math.max(-1, place)) : 255 * Math.min(1, Math.max(0, place)));
}

/**
 * The scale that a map is drawn with. A held scale stays honest when it meets a map of the other kind: a signed map
 * keeps its zero in the middle, and one that is not signed does not spend half of its colours below zero.
 * @param {Scale} map
 * @param {[number, number] | null} held
 * @returns {Scale}
 */
export function scaleOf(map, held) {
  const { signed } = map;
  if (!held) return { lo: map.lo, hi: map.hi, signed };
  let [lo, hi] = held;
  if (signed) hi = Math.max(Math.abs(lo), Math.abs(hi));
  if (signed) lo = -hi;
  else if (lo === -hi) lo = 0;
  return { lo, hi, signed };
}

/**
 * Draw the colours of a scale from its top (hi) to its bottom (lo) into a canvas of 1 x 256.
 * @param {HTMLCanvasElement} ramp
 * @param {Scale} scale
 * @param {Uint8Array | null} table 256 colours RGBA; null for the greys of a colour attribution
 * @param {number} cut magnitudes below it are left transparent: there the picture is seen
 */
export function paintRamp(ramp, scale, table, cut = 0) {
  const image = new ImageData(1, 256);
  for (let row = 0; row < 256; row++) {
    const value = scale.lo + ((255.5 - row) / 256) * (scale.hi - scale.lo);
    if (Math.abs(value) < cut) continue;
    const grey = level(value, scale.hi, scale.signed);
    const entry = 4 * indexOf(value, scale.lo, scale.hi, scale.signed);
    image.data.set(table ? table.subarray(entry, entry + 4) : [grey, grey, grey, 255], 4 * row);
  }
  ramp.getContext("2d").putImageData(image, 0, 0);
}
