/**
 * The tree of an outline as numbers and texts: what is seen when something is folded or looked for. No elements here.
 *
 * @typedef {{ at: number, name: string, part: string, parent: number, depth: number, parts: number[], kind: string,
 *   output: string, parameters: number, sees: string, exact: string, calls: number, why: string, idle: boolean,
 *   sameAs: string, reads: string, gives: string, join: string, lanes: [number, number, number][], rails: number }} Row
 *   `rails`: how many lanes stand beside its parts
 * @typedef {{ rows: Row[], top: number[], named: Map<string, number>, rails: number }} Tree
 */

/** @returns {Tree} */
export function treeOf(sent) {
  /** @type {Row[]} */
  const rows = (sent.name ?? []).map((name, at) => ({
    at, name, part: "", parent: sent.parent[at], depth: 0, parts: [], kind: sent.kind[at], output: sent.output[at],
    parameters: sent.parameters[at], sees: sent.sees[at], exact: sent.exact[at], calls: sent.calls[at],
    why: sent.why[at], idle: sent.idle[at], sameAs: sent.same_as[at], reads: sent.reads[at], gives: sent.gives[at],
    join: sent.join[at], lanes: sent.lanes[at] ?? [], rails: 0,
  }));
  const tree = { rows, top: [], named: new Map(rows.map((row) => [row.name, row.at])), rails: 0 };
  for (const row of rows) {
    const above = rows[row.parent];
    row.depth = above ? above.depth + 1 : 0;
    // A call is "name#2" under "name"; a part is "name.part", and of a name with several dots that is its rest.
    row.part = above ? row.name.slice(above.name.length).replace(/^\./, "") : row.name;
    (above ? above.parts : tree.top).push(row.at);
    (above ?? tree).rails = Math.max((above ?? tree).rails, row.lanes.length);
  }
  return tree;
}

/** The rows that are seen, from top to bottom. @returns {number[]} */
export function seen(tree, folded, found) {
  const out = [];
  const walk = (list, all) => {
    for (const at of list) {
      const row = tree.rows[at];
      if (!all && !found?.kept.has(at)) continue;
      out.push(at);
      if (!row.parts.length) continue;
      if (!found) {
        if (!folded.has(row.name)) walk(row.parts, true);
      } else if (found.opened.has(at)) walk(row.parts, true);
      else if (!found.shut.has(at)) walk(row.parts, false);
    }
  };
  walk(tree.top, !found);
  return out;
}

/** Whether the parts of a row are seen. */
export function isOpen(row, folded, found) {
  if (!row.parts.length) return false;
  if (!found) return !folded.has(row.name);
  return found.opened.has(row.at) || (!found.shut.has(row.at) && row.parts.some((at) => found.kept.has(at)));
}

/** "×" is hard to type. */
const plain = (text) => text.toLowerCase().replaceAll("×", "x");

export const wordsOf = (text) => plain(text).split(/\s+/).filter(Boolean);

/**
 * Rows with all the words in their full name or kind, at least one of them in what the row itself adds; and what they
 * stand in. null when nothing is looked for.
 * @returns {{ words: string[], hits: number[], kept: Set<number>, opened: Set<number>, shut: Set<number> } | null}
 */
export function find(tree, text) {
  const words = wordsOf(text);
  if (!words.length) return null;
  const hits = [];
  const kept = new Set();
  for (const row of tree.rows) {
    const [name, kind] = [plain(row.name), plain(row.kind)];
    if (!words.every((word) => name.includes(word) || kind.includes(word))) continue;
    const own = name.length - row.part.length;
    const ends = (word) => name.lastIndexOf(word) >= 0 && name.lastIndexOf(word) + word.length > own;
    if (!words.some((word) => kind.includes(word) || ends(word))) continue;
    hits.push(row.at);
    for (let at = row.at; at >= 0; at = tree.rows[at].parent) kept.add(at);
  }
  return { words, hits, kept, opened: new Set(), shut: new Set() };
}

/** A text in pieces, those that were looked for marked. @returns {[string, boolean][]} */
export function marked(text, words) {
  const low = plain(text);
  const hit = new Array(low.length).fill(false);
  for (const word of words) {
    let from = -1;
    while ((from = low.indexOf(word, from + 1)) >= 0) hit.fill(true, from, from + word.length);
  }
  const pieces = [];
  for (let from = 0, to = 0; from < text.length; from = to) {
    for (to = from + 1; to < text.length && hit[to] === hit[from]; ) to += 1;
    pieces.push([text.slice(from, to), hit[from]]);
  }
  return pieces;
}

/** 1,235,496 as "1.24 M"; nothing for nothing. */
export function shorten(count) {
  if (!count) return "";
  if (count < 1000) return String(count);
  const size = [1, 2, 3].find((size) => count / 1000 ** size < 999.5) ?? 4;
  const value = count / 1000 ** size;
  return `${value.toFixed(value < 99.95 ? 1 : 0)} ${" kMGT"[size]}`;
}
