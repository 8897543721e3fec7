/** The list of groups beside the map: which colour each has, how many points it has, and whether it is shown. */

import { make, put } from "./front/elements.js";
import { change } from "./front/link.js";
import { counted } from "./point_read.js";

export class PointLegend {
  /** @param {import("./point_state.js").PointState} state */
  constructor(model, state) {
    this.model = model;
    this.state = state;
    this.title = make("span", {});
    this.all = make("button", { type: "button", textContent: "Show all" });
    this.list = make("ul", { className: "cnnviz-points-groups" });
    this.list.setAttribute("role", "listbox");
    this.list.setAttribute("aria-multiselectable", "true");
    this.list.title = "Click hides and shows a group, a double click shows only this one";
    this.ring = make("button", { type: "button", className: "cnnviz-points-ring", title: "Select these points" });
    const head = make("div", { className: "cnnviz-points-legend-head" }, this.title, this.all);
    this.element = make("div", { className: "cnnviz-points-legend" }, head, this.list, this.ring);
    /** @type {any} */ this.shown = null;
    /** @type {Map<number, HTMLElement>} */ this.lines = new Map();
    this.focus = 0; // The place in the list that Tab comes to.
    this.listen();
  }

  listen() {
    const { list, state } = this;
    const groupAt = (event) => {
      const line = event.target.closest("li");
      return line ? Number(line.dataset.group) : null;
    };
    this.all.addEventListener("click", () => {
      this.hide([]);
      this.lines.get(state.groups.list[this.focus]?.number)?.focus();
    });
    this.ring.addEventListener("click", () => state.select(state.standing()));
    list.addEventListener("click", (event) => {
      const group = groupAt(event);
      if (group === null) return;
      this.move(state.groups.list.findIndex(({ number }) => number === group));
      if (event.altKey) this.only(group);
      else this.toggle(group);
    });
    list.addEventListener("dblclick", (event) => {
      const group = groupAt(event);
      if (group !== null && !event.altKey) this.only(group);
    });
    list.addEventListener("pointerover", (event) => {
      const group = groupAt(event);
      state.light(group === null || this.hidden().has(group) ? null : group);
    });
    list.addEventListener("pointerleave", () => state.light(null));
    list.addEventListener("keydown", (event) => this.key(event));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey) return;
    const { list } = this.state.groups;
    const here = list[this.focus]?.number;
    const actions = {
      ArrowDown: () => this.go(this.focus + 1), ArrowUp: () => this.go(this.focus - 1),
      Home: () => this.go(0), End: () => this.go(list.length - 1),
      PageDown: () => this.go(this.focus + 10), PageUp: () => this.go(this.focus - 10),
      Enter: () => (event.altKey ? this.only(here) : this.toggle(here)),
      " ": () => this.toggle(here),
      o: () => this.only(here),
    };
    const action = Object.hasOwn(actions, event.key) && actions[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  go(place) {
    this.move(Math.max(0, Math.min(this.state.groups.list.length - 1, place)));
    this.lines.get(this.state.groups.list[this.focus].number)?.focus();
  }

  /** Let Tab come to this line. */
  move(place) {
    const { list } = this.state.groups;
    const tab = (at, value) => {
      const line = this.lines.get(list[at]?.number);
      if (line) line.tabIndex = value;
    };
    tab(this.focus, -1);
    this.focus = place;
    tab(place, 0);
  }

  hidden() {
    return new Set(this.model.get("hidden"));
  }

  toggle(group) {
    const hidden = this.hidden();
    if (!hidden.delete(group)) hidden.add(group);
    this.hide([...hidden]);
  }

  /** Show one group only; if it is the only one already, all of them. */
  only(group) {
    const others = this.state.groups.list.map(({ number }) => number).filter((number) => number !== group);
    const hidden = this.hidden();
    const alone = !hidden.has(group) && others.every((number) => hidden.has(number));
    this.hide(alone ? [] : others);
  }

  hide(groups) {
    change(this.model, { hidden: groups.sort((a, b) => a - b) });
    this.state.light(null);
  }

  /** @param {boolean} coloured whether the points have the colours of the groups */
  draw(coloured, highlight) {
    const { groups } = this.state;
    const hidden = this.hidden();
    const { list } = groups;
    this.element.hidden = !list.length && !highlight?.count;
    if (this.shown !== list) this.build(list);
    put(this.title, groups.title || (list.length ? "Groups" : ""));
    this.all.hidden = !hidden.size;
    this.list.hidden = !list.length;
    this.list.setAttribute("aria-label", groups.title || "Groups");
    this.list.classList.toggle("cnnviz-points-plain", !coloured);
    for (const [number, line] of this.lines) {
      const on = String(!hidden.has(number));
      if (line.getAttribute("aria-selected") !== on) line.setAttribute("aria-selected", on);
    }
    this.ring.hidden = !highlight?.count;
    if (highlight?.count) put(this.ring, `${highlight.name} ${counted(highlight.count)}`);
  }

  build(list) {
    this.shown = list;
    this.focus = 0;
    const line = ({ number, name, count, colour }, place) => {
      const chip = make("span", { className: "cnnviz-points-chip" });
      if (colour) chip.style.background = `rgb(${colour.join(" ")})`;
      const words = make("span", { className: "cnnviz-points-name", textContent: name });
      const many = make("span", { className: "cnnviz-points-many", textContent: counted(count) });
      const entry = make("li", { tabIndex: place ? -1 : 0 }, chip, words, many);
      entry.setAttribute("role", "option");
      entry.setAttribute("aria-label", `${name}, ${count} points`);
      Object.assign(entry.dataset, { group: String(number), lmSuppressShortcuts: "true" });
      return [number, entry];
    };
    this.lines = new Map(list.map(line));
    this.list.replaceChildren(...this.lines.values());
  }
}
