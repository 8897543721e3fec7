/**
 * The classes with the patch as bars, without it as marks on them.
 *
 * Those that lead without a patch keep their rows, so that one sees them sink; what comes up under the patch stands
 * below them.
 */

import { make, put } from "./front/elements.js";

export class AnswerBars {
  constructor() {
    this.change = make("div", { className: "cnnviz-oc-change" });
    this.change.setAttribute("aria-live", "polite");
    this.before = make("div", { className: "cnnviz-oc-before" });
    this.rows = make("div", { className: "cnnviz-oc-rows" });
    this.rows.setAttribute("role", "list");
    this.rows.setAttribute("aria-label", "Most probable classes, with and without the patch");
    const key = make("div", { className: "cnnviz-oc-key" });
    key.append(
      make("span", { className: "cnnviz-oc-sample" }), "with the patch",
      make("span", { className: "cnnviz-oc-sample cnnviz-oc-tick" }), "without",
    );
    this.key = key;
    this.element = make("section", { className: "cnnviz-oc-answer" }, this.change, this.before, key, this.rows);
    this.element.setAttribute("aria-label", "Answer of the network");
    /** @type {Map<string, any>} */ this.kept = new Map();
  }

  /**
   * @param {import("./occlusion_state.js").Answer | null} seen
   * @param {any} base the classes without a patch
   * @param {boolean} exact whether the answer is for where the patch is
   * @param {{ number: number, color: number[] }[]} kinds the classes that have a colour on the map
   */
  draw(seen, base, exact, kinds) {
    this.element.classList.toggle("cnnviz-oc-late", Boolean(seen) && !exact);
    this.element.setAttribute("aria-busy", String(Boolean(seen) && !exact));
    this.key.hidden = !seen && !base;
    this.drawHead(seen?.guesses[0], base?.guesses[0], seen);
    const rows = rowsOf(seen, base);
    const wanted = rows.map(({ id }) => id).join("\n");
    if (wanted !== this.order) {
      this.order = wanted;
      const kept = new Map(rows.map((row) => [row.id, this.kept.get(row.id) ?? new Row(row)]));
      this.kept = kept;
      this.rows.replaceChildren(...[...kept.values()].map((row) => row.element));
    }
    for (const row of rows) {
      const color = kinds.find(({ number }) => `${number}` === row.id)?.color;
      this.kept.get(row.id).draw(row, color ? `rgb(${color.join(" ")})` : "");
    }
  }

  /** What the network says now, and whether that is something else than without the patch. */
  drawHead(first, unhidden, seen) {
    const changed = Boolean(first && unhidden && first.number !== unhidden.number);
    this.change.classList.toggle("cnnviz-oc-changed", changed);
    const leading = first ?? unhidden;
    put(this.change, leading ? `${changed ? "now: " : ""}${leading.name} ${percent(leading.p)}` : "No answer yet");
    if (!first || !unhidden) return put(this.before, unhidden ? "without a patch" : "");
    const left = seen.sunk[0] ?? seen.guesses.find(({ number }) => number === unhidden.number)?.p;
    const fell = left === undefined ? "" : ` → ${percent(left)}`;
    const before = percent(unhidden.p);
    put(this.before, changed ? `${unhidden.name} ${before}${fell}` : `${before} without the patch`);
  }
}

class Row {
  constructor({ name }) {
    this.chip = make("span", { className: "cnnviz-chip" });
    this.name = make("span", { className: "cnnviz-oc-name", title: name }, this.chip, name);
    this.bar = make("span", { className: "cnnviz-oc-bar-fill" });
    this.tick = make("span", { className: "cnnviz-oc-tick" });
    this.number = make("span", { className: "cnnviz-oc-number" });
    const track = make("span", { className: "cnnviz-oc-track" }, this.bar, this.tick);
    this.element = make("div", { className: "cnnviz-oc-row" }, this.name, this.number, track);
    this.element.setAttribute("role", "listitem");
  }

  /** @param {any} row @param {string} color that it has on the map, or "" */
  draw({ name, p, below, without, first, fresh }, color) {
    this.chip.hidden = !color;
    this.chip.style.background = color;
    const words = p !== null ? percent(p) : below !== null ? `< ${percent(below).replace("< ", "")}` : "";
    this.bar.hidden = p === null;
    this.bar.style.width = `${100 * (p ?? 0)}%`;
    this.tick.hidden = without === null;
    this.tick.style.left = `${100 * (without ?? 0)}%`;
    put(this.number, words || (without === null ? "" : percent(without)));
    this.element.classList.toggle("cnnviz-oc-first", first);
    this.element.classList.toggle("cnnviz-oc-new", fresh);
    const before = without === null ? "" : `, ${percent(without)} without the patch`;
    this.element.setAttribute("aria-label", `${name}: ${words || "not known"}${before}`);
  }
}

/** Which classes are shown. p: with the patch, null when it is not known; below: what it is at most. */
function rowsOf(seen, base) {
  const led = base?.guesses ?? [];
  const now = seen?.guesses ?? [];
  const of = (number) => now.find((guess) => guess.number === number)?.p;
  const row = ({ number, name }, p, without, fresh) => {
    const below = seen && p === undefined ? now[now.length - 1]?.p ?? null : null;
    return { id: `${number}`, name, p: p ?? null, below, without, fresh, first: number === now[0]?.number };
  };
  const rows = led.map((guess, i) => row(guess, of(guess.number) ?? seen?.sunk[i], guess.p, false));
  const fresh = now.filter(({ number }) => !led.some((guess) => guess.number === number));
  return [...rows, ...fresh.map((guess) => row(guess, guess.p, base?.all(guess.number) ?? null, Boolean(base)))];
}

function percent(p) {
  if (p > 0 && p < 0.0005) return "< 0.1 %";
  return `${(100 * p).toFixed(p < 0.0995 ? 1 : 0)} %`;
}
