/**
 * What is written and shown on the map where there is room: names of groups, names of points, thumbnails.
 *
 * @typedef {{ x0: number, y0: number, x1: number, y1: number }} Box  in CSS pixels of the view
 * @typedef {{ text: string, x: number, y: number, align: "center" | "left" | "right", strong: boolean }} Label
 */

const SAMPLE = 400; // Points of a group of which the middle is taken.
const CLOSE = 400; // Points in sight at most for which names and thumbnails are looked for.
const GAP = 2;
export const PICTURE = 44; // The longer side of a thumbnail on the map, in CSS pixels.

/** Boxes of which none lies over another. */
export class Room {
  /** @param {number} width @param {number} height of the view: what is not wholly in it has no room */
  constructor(width, height) {
    Object.assign(this, { width, height });
    /** @type {Box[]} */ this.taken = [];
  }

  /** Take this place if it is free. @param {Box} box @returns {boolean} */
  take(box) {
    if (box.x0 < 0 || box.y0 < 0 || box.x1 > this.width || box.y1 > this.height) return false;
    return this.free(box) && Boolean(this.taken.push(box));
  }

  free(box) {
    return !this.taken.some(
      (other) => box.x0 < other.x1 + GAP && other.x0 < box.x1 + GAP && box.y0 < other.y1 + GAP && other.y0 < box.y1 + GAP,
    );
  }
}

/**
 * The middle of each group that is shown: the median of its points' x, and of their y.
 * @param {import("./point_state.js").PointState} state
 * @returns {{ group: import("./point_groups.js").Group, x: number, y: number }[]} the largest first
 */
export function middles(state) {
  const { groups, order, level, X, Y } = state;
  if (!groups.numbers) return [];
  const found = new Map();
  for (let k = 0; k < order.length; k++) {
    const number = groups.numbers[order[k]];
    if (number < 0 || !level[k]) continue;
    const own = found.get(number) ?? { xs: [], ys: [] };
    found.set(number, own);
    if (own.xs.length >= SAMPLE) continue; // The order is one by chance: the first ones stand for all.
    own.xs.push(X[k]);
    own.ys.push(Y[k]);
  }
  const all = [...found].map(([number, { xs, ys }]) => ({ group: groups.list[number], x: median(xs), y: median(ys) }));
  return all.sort((a, b) => b.group.count - a.group.count);
}

function median(values) {
  const sorted = Float64Array.from(values).sort();
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/**
 * The points in sight, in the order in which they are drawn; null when they are too many to be told apart.
 * @param {import("./point_state.js").PointState} state
 * @param {import("./point_view.js").PointView} view
 */
export function inView(state, view) {
  const { x0, y0, x1, y1 } = view.sight();
  const numbers = [];
  const all = state.grid.within(x0, y0, x1, y1, (number) => {
    if (state.able(number)) numbers.push(number);
    return numbers.length <= CLOSE;
  });
  if (!all) return null;
  return numbers.sort((a, b) => state.rank[a] - state.rank[b]);
}

/**
 * Places for names of groups at their middles, the largest first.
 * @param {Room} room @param {(text: string) => number} widthOf @returns {Label[]}
 */
export function groupLabels(found, view, room, widthOf, high) {
  const labels = [];
  for (const { group, x, y } of found.slice(0, 200)) {
    const [right, under] = [view.right(x), view.under(y)];
    const half = widthOf(group.name) / 2;
    for (const step of [0, -1, 1]) {
      const middle = under + step * (high + GAP);
      const box = { x0: right - half, x1: right + half, y0: middle - high / 2, y1: middle + high / 2 };
      if (!room.take(box)) continue;
      labels.push({ text: group.name, x: right, y: middle, align: "center", strong: true });
      break;
    }
  }
  return labels;
}

/**
 * Places for names beside their points. @param {{ number: number, text: string, reach: number }[]} wanted
 *   reach: how far from the point its drawing goes
 * @param {Room} room @param {(text: string) => number} widthOf @returns {Label[]}
 */
export function pointLabels(wanted, state, view, room, widthOf, high) {
  const labels = [];
  for (const { number, text, reach } of wanted) {
    const place = state.shown(number);
    const [x, y] = [view.right(place.x), view.under(place.y)];
    const width = widthOf(text);
    const away = reach + 3;
    /** @type {[Label["align"], number, number, number][]} */
    const sides = [
      ["left", x + away, y, x + away], ["right", x - away, y, x - away - width],
      ["center", x, y - away - high / 2, x - width / 2], ["center", x, y + away + high / 2, x - width / 2],
    ];
    for (const [align, at, middle, x0] of sides) {
      if (!room.take({ x0, x1: x0 + width, y0: middle - high / 2, y1: middle + high / 2 })) continue;
      labels.push({ text, x: at, y: middle, align, strong: false });
      break;
    }
  }
  return labels;
}

/**
 * The points at which thumbnails have room.
 * @param {number[]} numbers in the order in which they are tried
 * @param {(number: number) => { width: number, height: number } | null | undefined} sizeOf of the picture itself
 * @returns {Map<number, Box>}
 */
export function pictureBoxes(numbers, state, view, room, sizeOf) {
  const boxes = new Map();
  const inside = new Room(Infinity, Infinity);
  for (const number of numbers) {
    const size = sizeOf(number);
    if (size === null) continue;
    const { width, height } = size ?? { width: 1, height: 1 };
    const share = PICTURE / Math.max(width, height) / 2;
    const place = state.shown(number);
    const [x, y] = [view.right(place.x), view.under(place.y)];
    const box = { x0: x - width * share, x1: x + width * share, y0: y - height * share, y1: y + height * share };
    // Those at the edge are seen in part, as points are.
    if (!inside.free(box) || !room.free(box)) continue;
    inside.taken.push(box);
    boxes.set(number, box);
  }
  room.taken.push(...boxes.values());
  return boxes;
}
