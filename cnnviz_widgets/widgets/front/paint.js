/** Numbers and bytes as small pictures: one pixel for each of theirs, then drawn sharply at any size. */

import { indexOf } from "./colours.js";

/** A canvas that is on no page, with these pixels. @param {ImageData} image */
export function offscreen(image) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.width, image.height];
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** Red, green, blue, row by row, as pixels. @param {Uint8Array} rgb */
export function pixelsOf(rgb, width, height) {
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = rgb[3 * i + c];
    image.data[4 * i + 3] = 255;
  }
  return image;
}

/**
 * Lay values over pixels in colours, as overlay in views/colour.py; NaN leaves the pixel.
 * @param {ImageData} image changed
 * @param {Float32Array} values one for each pixel
 * @param {import("./colours.js").Scale} scale
 * @param {Uint8Array} table 256 colours RGBA
 */
export function layOver(image, values, scale, table, opacity) {
  for (let i = 0; i < values.length; i++) {
    if (values[i] !== values[i]) continue;
    const entry = 4 * indexOf(values[i], scale.lo, scale.hi, scale.signed);
    for (let c = 0; c < 3; c++) {
      image.data[4 * i + c] = image.data[4 * i + c] * (1 - opacity) + table[entry + c] * opacity;
    }
  }
  return image;
}

/** Values alone as pixels, opaque; NaN is transparent. */
export function coloured(values, width, height, scale, table) {
  const image = new ImageData(width, height);
  for (let i = 0; i < values.length; i++) {
    if (values[i] !== values[i]) continue;
    const entry = 4 * indexOf(values[i], scale.lo, scale.hi, scale.signed);
    image.data.set(table.subarray(entry, entry + 4), 4 * i);
  }
  return image;
}

/** Darken and grey what lies outside a mask. @param {ImageData} image changed @param {(i: number) => boolean} inside */
export function dim(image, inside) {
  const { data } = image;
  for (let i = 0; 4 * i < data.length; i++) {
    if (inside(i)) continue;
    const grey = 0.3 * data[4 * i] + 0.59 * data[4 * i + 1] + 0.11 * data[4 * i + 2];
    for (let c = 0; c < 3; c++) data[4 * i + c] = 0.25 * (0.3 * data[4 * i + c] + 0.7 * grey);
  }
  return image;
}

/**
 * A map on a frame of another size, its cells where the receptive fields look: bilinear between the middles of the
 * cells. Half a step beyond the outermost nothing is known (NaN).
 * @param {{ values: Float32Array, width: number, height: number }} map
 * @param {[number, number]} rows where the middle of the first row lies, and how far it is to the next: shares of the
 *   frame's height
 * @param {[number, number]} columns likewise
 */
export function placed({ values, width, height }, rows, columns, across, down) {
  const xs = lying(width, across, columns);
  const ys = lying(height, down, rows);
  const out = new Float32Array(across * down);
  for (let y = 0; y < down; y++) {
    if (ys[y] !== ys[y]) {
      out.fill(NaN, y * across, (y + 1) * across);
      continue;
    }
    const upper = Math.floor(ys[y]) * width;
    const lower = Math.min(Math.floor(ys[y]) + 1, height - 1) * width;
    const v = ys[y] % 1;
    for (let x = 0; x < across; x++) {
      if (xs[x] !== xs[x]) {
        out[y * across + x] = NaN;
        continue;
      }
      const left = Math.floor(xs[x]);
      const right = Math.min(left + 1, width - 1);
      const u = xs[x] % 1;
      out[y * across + x] =
        (1 - v) * ((1 - u) * values[upper + left] + u * values[upper + right]) +
        v * ((1 - u) * values[lower + left] + u * values[lower + right]);
    }
  }
  return out;
}

/** Where among `cells` each of `length` pixels lies: 1.25 is a quarter of the way from the second to the third. */
function lying(cells, length, [first, step]) {
  return Float64Array.from({ length }, (_, i) => {
    const place = ((i + 0.5) / length - first) / step;
    // Cells that lie evenly reach to the very edge: a rounding error must not cut that off.
    if (place < -0.5 - 1e-9 || place > cells - 0.5 + 1e-9) return NaN;
    return Math.min(cells - 1, Math.max(0, place));
  });
}

/** Black or white, whichever is read better on a colour: contrast is 4.5 or more. @param {number[]} rgb 0 to 255 */
export function inkOn(rgb) {
  const linear = rgb.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  const light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  return 1.05 / (light + 0.05) > (light + 0.05) / 0.05 ? "#fff" : "#000";
}

/** Draw a picture so that it fills so many CSS pixels, sharp at the screen's own resolution. */
export function drawSharp(canvas, picture, width, height) {
  const across = Math.max(1, Math.round(width * devicePixelRatio));
  const down = Math.max(1, Math.round(height * devicePixelRatio));
  [canvas.width, canvas.height] = [across, down];
  [canvas.style.width, canvas.style.height] = [`${across / devicePixelRatio}px`, `${down / devicePixelRatio}px`];
  const pen = canvas.getContext("2d");
  // Pixels with sharp edges; only where each would get an uneven share of few screen pixels are they smoothed.
  pen.imageSmoothingEnabled = across < 2 * picture.width && across !== picture.width;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(picture, 0, 0, across, down);
}
