/**
 * The front end of LayerOutline: a tree of layers, of which only the rows in sight are elements.
 *
 * outline_tree.js knows what is seen, outline_row.js draws a row; `OutlineView` puts rows on the page and answers mouse
 * and keyboard by the ARIA pattern for trees. The focus is always on the tree itself, which names its active row, so
 * rows may come and go while it is walked.
 *
 * @typedef {import("./outline_tree.js").Row} Row
 */

import { clamp, keepKeys, keysHelp, make, put } from "./front/elements.js";
import { bytesOf, change, Link } from "./front/link.js";
import { percent, railsBeside, rowElement, tellsOf } from "./outline_row.js";
import { find, isOpen, seen, treeOf } from "./outline_tree.js";

const ROW = 36; // Screen pixels of a row, in two lines; the style sheet draws them.
const WIDE_ROW = 24; // In one line, where there is room beside the name.
const WIDE = 560;
const SPARE = 4; // Rows above and below those in sight.
const REST = 180; // Milliseconds on a row after which walking becomes choosing.
const TYPING = 700;
const TRAITS = ["rows", "activity", "selected", "search", "folded", "height"];
const KEYS = [
  ["↑ ↓", "walk; resting on a layer chooses it"], ["→", "unfold, go in"], ["← ", "fold, go out"],
  ["Enter", "choose at once"], ["Home End", "first, last"], ["*", "unfold all beside it"], ["a–z", "go to a name"],
  ["/", "search"],
  ["Escape", "end the search"],
];
let outlines = 0;

export default {
  render({ model, el }) {
    const view = new OutlineView(model, el);
    return () => view.destroy();
  },
};

class OutlineView {
  constructor(model, el) {
    this.model = model;
    this.el = el;
    this.id = `cnnviz-outline-${++outlines}`;
    this.focus = -1; // The row that the keyboard is at.
    this.origin = -1; // Where it was when a search began, for as long as nobody walks among what is found.
    this.typed = "";
    /** @type {Map<number, HTMLElement>} rows that are elements now */ this.made = new Map();
    this.build();
    this.listen();
    this.take();
    this.reveal(this.tree.named.get(model.get("selected")) ?? -1);
    this.draw();
    this.link.say({ type: "hello" });
  }

  destroy() {
    for (const [event, handler] of this.handlers) this.model.off(event, handler);
    this.link.close();
    this.sized.disconnect();
    clearTimeout(this.resting);
    clearTimeout(this.forget);
    cancelAnimationFrame(this.frame);
    this.el.classList.remove("cnnviz-host");
    this.el.replaceChildren();
  }

  build() {
    this.caption = make("div", { className: "cnnviz-ol-caption" });
    this.static = make("div", { className: "cnnviz-static", textContent: "static: no kernel answers", hidden: true });
    this.field = make("input", { type: "search", className: "cnnviz-ol-search", placeholder: "relu, layer3, 1x1 …" });
    this.field.setAttribute("aria-label", "Search layers by name or kind");
    this.field.spellcheck = false;
    this.count = make("span", { className: "cnnviz-ol-count" });
    this.count.setAttribute("role", "status");
    const column = (name, title) => make("span", { className: `cnnviz-ol-${name}`, textContent: name, title });
    const cells = make(
      "div", { className: "cnnviz-ol-cells" },
      column("output", "The shape of what a layer gives for one picture: channels × height × width"),
      column("parameters", "How many numbers it has learned, its parts included"),
      column("sees", "The receptive field: the window of the picture that one value depends on, and after / the step"),
    );
    const active = column("active", "The share of its values that are above zero for this picture");
    this.names = make("div", { className: "cnnviz-ol-columns" }, column("layer", "Name and kind"), active, cells);
    this.names.setAttribute("aria-hidden", "true");
    this.list = make("div", { className: "cnnviz-ol-list" });
    this.list.setAttribute("role", "none");
    this.nothing = make("div", { className: "cnnviz-ol-nothing", hidden: true });
    this.box = make("div", { className: "cnnviz-ol-box", tabIndex: 0 }, this.list, this.nothing);
    this.box.setAttribute("role", "tree");
    this.full = make("div", { className: "cnnviz-ol-full" });
    this.facts = make("div", { className: "cnnviz-ol-facts" });
    this.flow = make("div", { className: "cnnviz-ol-flow" });
    this.foot = make("div", { className: "cnnviz-ol-foot", id: `${this.id}-foot` }, this.full, this.facts, this.flow);
    this.box.setAttribute("aria-describedby", this.foot.id);
    this.root = make(
      "div", { className: "cnnviz cnnviz-ol" },
      make("div", { className: "cnnviz-ol-head" }, this.caption, this.static),
      make("div", { className: "cnnviz-ol-find" }, this.field, this.count, keysHelp(KEYS)),
      this.names, this.box, this.foot,
    );
    keepKeys(this.root);
    this.el.classList.add("cnnviz-host");
    this.el.replaceChildren(this.root);
  }

  listen() {
    const { model, box, field } = this;
    this.link = new Link(model, () => (this.static.hidden = !this.link.silent));
    this.handlers = TRAITS.map((trait) => [`change:${trait}`, () => this.changed(trait)]);
    for (const [event, handler] of this.handlers) model.on(event, handler);
    this.sized = new ResizeObserver(() => this.draw());
    this.sized.observe(box);
    box.addEventListener("scroll", () => this.later());
    box.addEventListener("keydown", (event) => this.key(event));
    box.addEventListener("focus", () => this.draw());
    box.addEventListener("blur", () => this.draw());
    box.addEventListener("click", (event) => this.click(event));
    box.addEventListener("pointerover", (event) => this.hover(event));
    field.addEventListener("input", () => change(model, { search: field.value }));
    field.addEventListener("keydown", (event) => this.searchKey(event));
  }

  // ---------------------------------------------------------------------------------- what the model says

  changed(trait) {
    const { model } = this;
    if (trait === "rows") this.take();
    if (trait === "search") this.look();
    if (trait === "selected" && !this.choosing && !this.resting) {
      this.reveal(this.tree.named.get(model.get("selected")) ?? -1);
    }
    if (trait === "activity") this.drawBars();
    else this.draw();
  }

  take() {
    const before = this.tree?.rows[this.focus]?.name;
    this.tree = treeOf(this.model.get("rows"));
    this.made.clear();
    this.list.replaceChildren();
    this.focus = this.tree.named.get(before) ?? (this.tree.rows.length ? 0 : -1);
    this.look();
  }

  look() {
    const text = this.model.get("search");
    if (this.field.value !== text) this.field.value = text;
    const before = this.found;
    this.found = find(this.tree, text);
    if (!before) this.origin = this.focus;
    this.made.clear();
    this.list.replaceChildren();
    if (this.found?.hits.length && !this.found.kept.has(this.focus)) this.focus = this.found.hits[0];
    this.scrollTo = this.focus;
  }

  /** Go to a row, also in a fold or out of a search. */
  reveal(at) {
    if (at < 0) return;
    this.focus = this.scrollTo = at;
    if (this.found && !seen(this.tree, new Set(), this.found).includes(at)) change(this.model, { search: "" });
    if (!this.found) this.unfoldAbove(at);
  }

  unfoldAbove(at) {
    const folded = this.folded;
    let found = false;
    for (let up = this.tree.rows[at]?.parent ?? -1; up >= 0; up = this.tree.rows[up].parent) {
      found = folded.delete(this.tree.rows[up].name) || found;
    }
    if (found) change(this.model, { folded: this.sorted(folded) });
  }

  get folded() {
    return new Set(this.model.get("folded"));
  }

  // ---------------------------------------------------------------------------------- mouse and keyboard

  hover(event) {
    const element = event.target.closest("[data-at]");
    if (element) element.title = this.tells(this.tree.rows[Number(element.dataset.at)]).join("\n");
  }

  click(event) {
    const element = event.target.closest("[data-at]");
    if (!element) return;
    const at = Number(element.dataset.at);
    this.focus = at;
    this.origin = -1;
    const row = this.tree.rows[at];
    const folds = event.target.closest(".cnnviz-ol-twisty") && row.parts.length;
    if (folds) this.fold(row, isOpen(row, this.folded, this.found));
    else this.choose(row, 0);
    this.draw();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { shown } = this;
    const row = this.tree.rows[this.focus];
    const place = shown.indexOf(this.focus);
    const page = Math.max(1, Math.floor(this.box.clientHeight / this.high()) - 1);
    const open = row && isOpen(row, this.folded, this.found);
    const to = (next) => this.walk(shown[clamp(next, 0, shown.length - 1)]);
    if (!row) return;
    if (event.key === "ArrowDown") to(place + 1);
    else if (event.key === "ArrowUp") to(place - 1);
    else if (event.key === "PageDown") to(place + page);
    else if (event.key === "PageUp") to(place - page);
    else if (event.key === "Home") to(0);
    else if (event.key === "End") to(shown.length - 1);
    else if (event.key === "ArrowRight") {
      if (row.parts.length && !open) this.fold(row, false);
      else if (open) to(place + 1);
    } else if (event.key === "ArrowLeft") {
      if (open) this.fold(row, true);
      else if (row.parent >= 0) this.walk(row.parent);
    } else if (event.key === "Enter" || (event.key === " " && !this.typed)) this.choose(row, 0);
    else if (event.key === "*") this.unfold(row.parent >= 0 ? this.tree.rows[row.parent].parts : this.tree.top);
    else if (event.key === "/") this.field.focus();
    else if (event.key === "Escape" && this.found) this.endSearch();
    else if (event.key.length === 1) this.type(event.key.toLowerCase());
    else return;
    event.preventDefault();
    event.stopPropagation();
    this.draw();
  }

  searchKey(event) {
    if (event.key === "Escape") {
      if (this.field.value) this.endSearch();
      else this.box.focus();
    } else if ((event.key === "Enter" || event.key === "ArrowDown") && this.shown.length) {
      if (this.found) this.walk(this.found.hits[0] ?? this.focus, event.key === "Enter" ? 0 : REST);
      this.box.focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
    this.draw();
  }

  /** Back to the whole tree, with the row that the keyboard is at still in sight. */
  endSearch() {
    if (this.origin >= 0) this.focus = this.origin;
    else this.unfoldAbove(this.focus);
    change(this.model, { search: "" });
  }

  walk(at, rest = REST) {
    this.focus = this.scrollTo = at;
    this.origin = -1;
    this.choose(this.tree.rows[at], rest);
  }

  /** Choose a layer, at once or when the keyboard rested on it for a while. */
  choose(row, rest) {
    clearTimeout(this.resting);
    this.resting = 0;
    if (row.why) return;
    const settle = () => {
      this.resting = 0;
      this.choosing = true;
      change(this.model, { selected: row.name });
      this.choosing = false;
    };
    if (rest) this.resting = setTimeout(settle, rest);
    else settle();
  }

  fold(row, shut) {
    if (this.found) {
      const { opened, shut: closed } = this.found;
      opened.delete(row.at);
      closed.delete(row.at);
      const hits = row.parts.some((at) => this.found.kept.has(at));
      if (shut && hits) closed.add(row.at);
      if (!shut && !hits) opened.add(row.at);
      return;
    }
    const folded = this.folded;
    if (shut) folded.add(row.name);
    else folded.delete(row.name);
    change(this.model, { folded: this.sorted(folded) });
  }

  unfold(list) {
    const folded = this.folded;
    for (const at of list) folded.delete(this.tree.rows[at].name);
    change(this.model, { folded: this.sorted(folded) });
  }

  sorted(folded) {
    const place = (name) => this.tree.named.get(name) ?? -1;
    return [...folded].sort((one, other) => place(one) - place(other));
  }

  /** Letters typed one after the other go to the next row whose name or kind begins with them. */
  type(letter) {
    clearTimeout(this.forget);
    this.forget = setTimeout(() => (this.typed = ""), TYPING);
    const again = this.typed === letter;
    this.typed = again ? letter : this.typed + letter;
    const from = this.shown.indexOf(this.focus) + (this.typed.length === 1 ? 1 : 0);
    const round = [...this.shown.slice(from), ...this.shown.slice(0, from)];
    const begins = (text) => text.toLowerCase().startsWith(this.typed);
    const next = (column) => round.find((at) => begins(this.tree.rows[at][column]));
    const at = next("part") ?? next("kind");
    if (at !== undefined) this.walk(at);
  }

  // ---------------------------------------------------------------------------------- what is on the page

  high() {
    return this.wide ? WIDE_ROW : ROW;
  }

  later() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.drawRows();
    });
  }

  /** Make everything show what the model says. */
  draw() {
    const { model, tree, box } = this;
    const sent = model.get("rows");
    this.root.style.height = `${model.get("height")}px`;
    this.wide = box.clientWidth >= WIDE;
    this.root.classList.toggle("cnnviz-wide", this.wide);
    this.shown = seen(tree, this.folded, this.found);
    // What is folded away takes the keyboard to what it is folded into.
    const hidden = () => this.shown.length > 0 && !this.shown.includes(this.focus);
    while (this.focus >= 0 && hidden()) this.focus = tree.rows[this.focus].parent;
    if (this.focus < 0 && this.shown.length) this.focus = this.shown[0];
    put(this.caption, sent.network || "Layers");
    const total = sent.layers ?? 0;
    const hits = this.found?.hits.length;
    put(this.count, this.found ? `${hits} of ${tree.rows.length}` : total ? `${total} layers` : "");
    this.nothing.hidden = this.shown.length > 0;
    put(this.nothing, this.found ? `No layer's name or kind has “${model.get("search")}”.` : "No network yet.");
    box.setAttribute("aria-label", `Layers of ${sent.network || "the network"}`);
    const high = this.high();
    this.list.style.height = `${this.shown.length * high}px`;
    if (this.scrollTo !== undefined && box.clientHeight) {
      const top = this.shown.indexOf(this.scrollTo) * high;
      if (top >= 0 && top < box.scrollTop) box.scrollTop = top;
      const below = top + high - box.clientHeight;
      if (top >= 0 && below > box.scrollTop) box.scrollTop = below;
      this.scrollTo = undefined;
    }
    this.drawRows();
    this.drawFoot();
  }

  drawRows() {
    const { box, shown, tree } = this;
    const high = this.high();
    const from = clamp(Math.floor(box.scrollTop / high) - SPARE, 0, shown.length);
    const to = clamp(Math.ceil((box.scrollTop + box.clientHeight) / high) + SPARE, from, shown.length);
    const wanted = new Set(shown.slice(from, to));
    if (this.focus >= 0) wanted.add(this.focus); // The tree names it as its active row, so it must be there.
    for (const [at, element] of this.made) {
      if (wanted.has(at)) continue;
      element.remove();
      this.made.delete(at);
    }
    const folded = this.folded;
    const places = new Map(shown.map((at, place) => [at, place]));
    for (const at of wanted) {
      let element = this.made.get(at);
      if (!element) {
        element = rowElement(tree, tree.rows[at], `${this.id}-${at}`, this.found?.words);
        this.made.set(at, element);
        this.list.append(element);
      }
      this.refresh(element, tree.rows[at], places.get(at) ?? -1, folded);
    }
    const active = this.made.get(this.focus);
    if (active) box.setAttribute("aria-activedescendant", active.id);
    else box.removeAttribute("aria-activedescendant");
    this.drawBars();
  }

  /** What changes: its place, whether it is open, chosen, at the keyboard, and the rails beside it. */
  refresh(element, row, place, folded) {
    const open = isOpen(row, folded, this.found);
    const siblings = row.parent >= 0 ? this.tree.rows[row.parent].parts : this.tree.top;
    element.style.top = `${place * this.high()}px`;
    element.hidden = place < 0;
    if (row.parts.length) element.setAttribute("aria-expanded", String(open));
    element.setAttribute("aria-selected", String(row.name === this.model.get("selected")));
    element.setAttribute("aria-setsize", String(siblings.length));
    element.setAttribute("aria-posinset", String(siblings.indexOf(row.at) + 1));
    element.classList.toggle("cnnviz-ol-focus", row.at === this.focus);
    const twisty = row.parts.length ? (open ? "▾" : "▸") : "";
    put(element.querySelector(".cnnviz-ol-twisty"), twisty);
    const next = this.tree.rows[this.shown[place + 1]];
    const rails = this.found ? "" : railsBeside(this.tree, row, next);
    if (element.dataset.rails !== rails) {
      element.dataset.rails = rails;
      element.querySelector(".cnnviz-ol-lanes").innerHTML = rails;
    }
  }

  tells(row) {
    return tellsOf(row, this.shareOf(row.at));
  }

  shareOf(at) {
    const sent = this.model.get("activity");
    if (sent !== this.sent) {
      this.sent = sent;
      const bytes = sent ? bytesOf(sent).slice() : new Uint8Array(); // A copy: a buffer may start anywhere.
      this.shares = bytes.length === 4 * this.tree.rows.length ? new Float32Array(bytes.buffer) : new Float32Array();
    }
    return this.shares[at] ?? NaN;
  }

  /** How active each row in sight is: all that a frame of the camera changes. */
  drawBars() {
    for (const [at, element] of this.made) {
      const share = this.shareOf(at);
      const bar = element.querySelector(".cnnviz-ol-bar");
      bar.classList.toggle("cnnviz-ol-unknown", Number.isNaN(share));
      bar.firstChild.style.width = Number.isNaN(share) ? "0" : `${100 * share}%`;
      bar.title = percent(share);
    }
    if (this.tree.rows[this.focus]) this.drawFoot();
  }

  drawFoot() {
    const row = this.tree.rows[this.focus];
    const [name, facts, ...flow] = row ? this.tells(row) : ["", ""];
    put(this.full, name);
    put(this.facts, facts);
    put(this.flow, flow.join(" · "));
  }
}
