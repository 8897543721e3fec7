/** What is said about a map and about a point of it. */

import { say } from "./front/words.js";

const HINT = "Point at a point to read it, drag to move, turn the wheel to zoom, Shift-drag to select.";

/** A number of points, as people write it. */
export const counted = (number) => number.toLocaleString("en");

/**
 * What is known of a point, as pairs of a name and a value; the name of the point itself is "".
 * @param {import("./point_state.js").PointState} state
 * @returns {[string, string][]}
 */
export function wordsAbout(state, number) {
  const { groups, words } = state;
  const told = words.get(number)?.lines ?? [];
  /** @type {[string, string][]} */ const lines = [["", words.name(number) || `point ${number}`]];
  const group = groups.nameOf(number);
  const title = groups.title || "group";
  if (group && !told.some(([name]) => name === title)) lines.push([title, group]);
  if (groups.values) lines.push([groups.values.name || "value", say(groups.values.data[number])]);
  lines.push(...told);
  if (state.stands(number)) lines.push(["○", state.model.get("highlight").name]);
  return lines;
}

/** The read-out: of one point or, without one, of all of them. @returns {{ words: [string, string][], hint: string }} */
export function readoutOf(state, number) {
  const { count, chosenCount, missing } = state;
  if (number !== null) {
    const [, ...lines] = wordsAbout(state, number);
    /** @type {[string, string][]} */
    const words = [["point", state.words.name(number) || String(number)], ...lines];
    if (chosenCount) words.push(["selection", `${counted(chosenCount)} points`]);
    return { words, hint: "" };
  }
  const parts = [];
  if (chosenCount) parts.push(`${counted(chosenCount)} of ${counted(count)} points selected.`);
  if (missing) parts.push(`${counted(missing)} points have no place and are left out.`);
  if (!chosenCount) parts.push(HINT);
  return { words: [], hint: parts.join(" ") };
}
