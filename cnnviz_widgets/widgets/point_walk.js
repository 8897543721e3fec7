/** From point to point, without a mouse. */

/**
 * The nearest point within 45 degrees of a direction; what lies aside counts as farther.
 * @param {import("./point_state.js").PointState} state
 * @param {number} from the number of a point @param {number} right -1, 0 or 1 @param {number} up likewise
 * @returns {number | null}
 */
export function pointBeside(state, from, right, up) {
  const { places } = state;
  const [x, y] = [places[2 * from], places[2 * from + 1]];
  let best = null;
  let least = Infinity;
  for (let number = 0; number < state.count; number++) {
    const [dx, dy] = [places[2 * number] - x, places[2 * number + 1] - y];
    const along = dx * right + dy * up;
    const aside = dx * up - dy * right;
    const distance = along * along + 3 * aside * aside;
    if (!(along > 0) || Math.abs(aside) > along || distance >= least || !state.able(number)) continue;
    [best, least] = [number, distance];
  }
  return best;
}

/**
 * The point nearest to the middle of what is seen.
 * @param {import("./point_view.js").PointView} view
 * @returns {number | null}
 */
export function pointInMiddle(state, view) {
  if (!state.count) return null;
  const reach = Math.hypot(view.width, view.height) / view.scale;
  const found = state.grid.nearest(view.x, view.y, reach, (number) => state.able(number));
  return found < 0 ? null : found;
}
