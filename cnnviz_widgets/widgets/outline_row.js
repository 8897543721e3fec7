/**
 * One row of an outline as an element, the rails beside it, and all that is known of it in words.
 *
 * @typedef {import("./outline_tree.js").Row} Row
 * @typedef {import("./outline_tree.js").Tree} Tree
 */

import { make } from "./front/elements.js";
import { marked, shorten } from "./outline_tree.js";

const [INDENT, LANE, EDGE] = [10, 12, 4]; // Screen pixels.
const [START, END, FIRST, LAST, SHORTCUT] = [1, 2, 4, 8, 16]; // As in outline_rails.py.

/**
 * What of a row stays as it is for as long as it is an element.
 * @param {Tree} tree
 * @param {Row} row
 * @param {string[] | undefined} words what is looked for; then rows are missing, and rails would tell lies
 * @returns {HTMLElement}
 */
export function rowElement(tree, row, id, words) {
  const text = (className, whole) => {
    const pieces = marked(whole, words ?? []).map(([part, hit]) => (hit ? make("mark", { textContent: part }) : part));
    return make("span", { className }, ...pieces);
  };
  const cell = (column, value) => make("span", { className: `cnnviz-ol-${column}`, textContent: value });
  const called = [text("cnnviz-ol-name", row.part), text("cnnviz-ol-kind", row.kind)];
  const what = make("span", { className: "cnnviz-ol-what" }, ...called);
  if (row.calls > 1) what.append(cell("chip", `×${row.calls}`));
  if (row.join) what.append(cell("chip cnnviz-ol-join", row.join));
  // In a row the name of a part is enough; the full one stands at the foot.
  const within = row.sameAs.startsWith(`${row.name}.`) ? row.sameAs.slice(row.name.length + 1) : row.sameAs;
  if (within) what.append(cell("same", `= ${within}`));
  const known = [cell("output", row.output), cell("parameters", shorten(row.parameters)), cell("sees", row.sees)];
  const element = make(
    "div", { className: "cnnviz-ol-row", id },
    cell("lanes", ""), cell("twisty", ""), what,
    make("span", { className: "cnnviz-ol-bar" }, make("i", {})),
    make("span", { className: "cnnviz-ol-cells" }, ...(row.why ? [cell("why", row.why)] : known)),
  );
  element.dataset.at = String(row.at);
  element.setAttribute("role", "treeitem");
  element.setAttribute("aria-level", String(row.depth + 1));
  element.classList.toggle("cnnviz-ol-idle", row.idle);
  element.classList.toggle("cnnviz-ol-shut", Boolean(row.why));
  if (row.why) element.setAttribute("aria-disabled", "true");
  const spoken = [row.part, row.kind, row.why || row.output.replaceAll("×", " by ")];
  element.setAttribute("aria-label", spoken.filter(Boolean).join(", "));
  const inset = lineOf(tree, row).reduce((sum, one) => sum + step(one) + (words ? 0 : gutter(tree, one)), 0);
  element.style.setProperty("--inset", `${inset}px`);
  return element;
}

/**
 * The rails beside a row: its own and those of what it stands in. A branch that is unfolded ends with the last of its
 * parts that is seen, hence `next`, the row under this one.
 * @param {Row | undefined} next
 * @returns {string} HTML
 */
export function railsBeside(tree, row, next) {
  const after = next ? lineOf(tree, next) : [];
  let left = 0;
  const lane = ([flags, , of], one, last, level) => {
    const has = (flag, when) => Boolean(flags & flag) && when;
    const [first, beside] = [one === row, of > 1];
    const classes = [
      has(START, first) && "s", has(END, last) && "e", has(FIRST, first) && "f", has(LAST, last) && "l",
      has(SHORTCUT, true) && "c", beside && "b",
    ];
    const style = `left:${left + level * LANE}px`;
    return `<i class="cnnviz-ol-lane ${classes.filter(Boolean).join(" ")}" style="${style}"></i>`;
  };
  const beside = lineOf(tree, row).map((one, depth) => {
    left += step(one);
    const lanes = one.lanes.map((found, level) => lane(found, one, after[depth] !== one, level));
    left += gutter(tree, one);
    return lanes.join("");
  });
  return beside.join("");
}

const step = (row) => (row.depth ? INDENT : EDGE);

/** How wide the rails are beside a row and its siblings, so that their names stand under one another. */
const gutter = (tree, row) => LANE * (row.parent >= 0 ? tree.rows[row.parent] : tree).rails;

/** From the top down to a row. @returns {Row[]} */
function lineOf(tree, row) {
  const line = [row];
  while (line[0].parent >= 0) line.unshift(tree.rows[line[0].parent]);
  return line;
}

/** All that is known of a row, exactly: its name, its figures, and how it is connected. @param {Row} row */
export function tellsOf(row, share) {
  const parameters = row.parameters ? `${row.parameters.toLocaleString("en")} parameters` : "no parameters";
  const exact = row.exact.replace(/(\d)x(\d)/g, "$1×$2");
  const sees = exact && (row.sees === "?" ? `receptive field ${exact}` : `sees ${exact}`);
  const given = row.why || `gives ${row.output.replaceAll("×", " × ")}`;
  const facts = [given, parameters, sees, percent(share)].filter(Boolean);
  const out = [`${row.name}  ${row.kind}`, facts.join(" · ")];
  if (row.reads) out.push(`reads ${row.reads}`);
  if (row.gives) out.push(`ends in ${row.gives}`);
  const lane = row.lanes.at(-1);
  if (lane && lane[2] > 1) out.push(`branch ${lane[1] + 1} of ${lane[2]} side by side`);
  if (lane && lane[0] & SHORTCUT) out.push("a shortcut goes past");
  if (row.sameAs) out.push(`the same as ${row.sameAs}`);
  return out;
}

export const percent = (share) => (Number.isNaN(share) ? "" : `${(100 * share).toFixed(1)} % above zero`);
