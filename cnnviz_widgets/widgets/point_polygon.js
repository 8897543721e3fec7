/** Which points lie in a polygon: `points_in_polygon` of point_polygon.py, to the last bit. */

const BANDS = 128; // Into which a polygon is cut, so that for each point only the edges at its height are looked at.

/**
 * @param {Float32Array} places x and y of each point, NaN where it has no place
 * @param {ArrayLike<number>} corners x and y of each
 * @param {(number: number) => boolean} able whether a point counts at all
 * @returns {number[]} their numbers, rising
 */
export function pointsIn(places, corners, able) {
  const inside = [];
  if (corners.length < 6) return inside;
  const bounds = boundsOf(corners);
  const { x0, y0, x1, y1 } = bounds;
  const bands = bandsOf(edgesOf(corners), bounds);
  for (let i = 0; i < places.length; i += 2) {
    const x = places[i];
    const y = places[i + 1];
    if (!(x >= x0 && x <= x1 && y >= y0 && y <= y1)) continue; // NaN is nowhere.
    const edges = bands[bandAt(y, bounds)];
    let odd = false;
    for (let e = 0; e < edges.length; e += 4) {
      const low = edges[e + 1];
      if (y >= low && y < edges[e + 3] && x < edges[e] + (y - low) * edges[e + 2]) odd = !odd;
    }
    if (odd && able(i / 2)) inside.push(i / 2);
  }
  return inside;
}

/** The extent of pairs x and y, those that are NaN left out; null when there are none. */
export function boundsOf(pairs) {
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < pairs.length; i += 2) {
    const x = pairs[i];
    const y = pairs[i + 1];
    if (x < x0) x0 = x;
    if (x > x1) x1 = x;
    if (y < y0) y0 = y;
    if (y > y1) y1 = y;
  }
  return x0 <= x1 ? { x0, y0, x1, y1 } : null;
}

/** x and y of the lower end, the slope dx/dy, y of the upper end; level edges are never crossed. */
function edgesOf(corners) {
  const edges = [];
  for (let i = 0; i < corners.length; i += 2) {
    const next = (i + 2) % corners.length;
    let [x0, y0, x1, y1] = [corners[i], corners[i + 1], corners[next], corners[next + 1]];
    if (y0 === y1) continue;
    if (y0 > y1) [x0, y0, x1, y1] = [x1, y1, x0, y0];
    edges.push(x0, y0, (x1 - x0) / (y1 - y0), y1);
  }
  return Float64Array.from(edges);
}

/** The edges that a point in each band may cross; a long one is in several. @returns {Float64Array[]} */
function bandsOf(edges, bounds) {
  const bands = Array.from({ length: BANDS }, () => /** @type {number[]} */ ([]));
  for (let e = 0; e < edges.length; e += 4) {
    const last = bandAt(edges[e + 3], bounds);
    for (let band = bandAt(edges[e + 1], bounds); band <= last; band++) bands[band].push(...edges.subarray(e, e + 4));
  }
  return bands.map((each) => Float64Array.from(each));
}

/** Rises with y, so that a point between two ends is in a band between theirs. */
const bandAt = (y, { y0, y1 }) => Math.min(BANDS - 1, Math.floor(((y - y0) / (y1 - y0 || 1)) * BANDS));
