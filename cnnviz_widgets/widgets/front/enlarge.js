/** Maps at another size, as torch and the views make them. */

/**
 * The planes of a map on a frame of another size: bilinear between the centres of the cells, the outermost held to the
 * edge. This is torch's interpolate(mode="bilinear", align_corners=False).
 * @param {{ values: Float32Array, width: number, height: number, color: boolean }} map
 */
export function enlarge({ values, width: w, height: h, color }, width, height) {
  if (w === width && h === height) return values;
  const planes = color ? 3 : 1;
  const out = new Float32Array(planes * width * height);
  const columns = neighbours(w, width);
  const rows = neighbours(h, height);
  let at = 0;
  for (let plane = 0; plane < planes; plane++) {
    for (let y = 0; y < height; y++) {
      const upper = (plane * h + rows.first[y]) * w;
      const lower = (plane * h + rows.second[y]) * w;
      const down = rows.share[y];
      for (let x = 0; x < width; x++) {
        const left = columns.first[x];
        const right = columns.second[x];
        const along = columns.share[x];
        out[at++] =
          (1 - down) * ((1 - along) * values[upper + left] + along * values[upper + right]) +
          down * ((1 - along) * values[lower + left] + along * values[lower + right]);
      }
    }
  }
  return out;
}

/** For every one of `length` places the two of `cells` it lies between, and the share of the second. */
export function neighbours(cells, length) {
  const first = new Int32Array(length);
  const second = new Int32Array(length);
  const share = new Float64Array(length);
  for (let i = 0; i < length; i++) {
    const place = Math.max(0, ((i + 0.5) * cells) / length - 0.5);
    first[i] = Math.min(Math.floor(place), cells - 1);
    second[i] = Math.min(first[i] + 1, cells - 1);
    share[i] = place - first[i];
  }
  return { first, second, share };
}
