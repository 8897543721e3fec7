/** The tiles of a wall as elements of the page, of which only those in sight exist. All lengths are CSS pixels. */

import { Density } from "./density.js";
import { clamp, make } from "./elements.js";

const GAP = 8; // Between tiles; the ring of the chosen one is drawn in it.
const AGAIN = 300; // Milliseconds after which a wall out of sight is tried once more.

/**
 * @typedef {{ count: number, width: number, height: number, most: number, row?: boolean }} Shelving
 *   width, height: of a tile; most: how high the wall may become; row: all tiles in one row, which scrolls sideways
 */

export class Shelf {
  /**
   * @param {{ fill: (tile: any, place: number) => void, look: (start: number, stop: number) => void,
   *   choose: (place: number, event: Event) => void, changed: () => void }} on
   *   fill: make a tile show what belongs in its place (often called: do nothing where nothing changed); look: these
   *   places are in sight; choose: one was clicked; changed: there is another width or screen, so `lay` anew
   */
  constructor(on) {
    this.on = on;
    this.id = `cnnviz-${Math.random().toString(36).slice(2)}`;
    /** @type {Map<number, HTMLElement>} by place */ this.tiles = new Map();
    /** @type {Shelving & { columns: number, across: number, down: number } | null} */ this.laid = null;
    /** @type {number | null} the place with the ring */ this.cursor = null;
    this.unseen = false;
    this.tall = make("div", { className: "cnnviz-tall" });
    this.tall.setAttribute("role", "presentation");
    this.element = make("div", { className: "cnnviz-shelf", tabIndex: 0 }, this.tall);
    this.element.setAttribute("role", "listbox");
    this.element.setAttribute("aria-orientation", "horizontal");
    this.element.addEventListener("scroll", () => this.schedule());
    this.element.addEventListener("click", (event) => {
      const place = this.placeOf(event);
      if (place !== null) on.choose(place, event);
    });
    this.density = new Density(on.changed);
    this.resized = new ResizeObserver(on.changed);
    this.resized.observe(this.element);
  }

  close() {
    clearTimeout(this.retry);
    cancelAnimationFrame(this.frame);
    this.density.close();
    this.resized.disconnect();
    this.laid = null;
  }

  /** The place of the tile that an event is about. @param {Event} event */
  placeOf(event) {
    const tile = /** @type {Element} */ (event.target).closest?.("[role=option]");
    return tile && this.tall.contains(tile) ? Number(tile.dataset.place) : null;
  }

  /** Put up so many tiles of this size; what was in sight stays there. @param {Shelving} shelving */
  lay(shelving) {
    const { element } = this;
    const down = shelving.height + GAP;
    const room = element.clientWidth;
    if (!room) {
      // Out of sight. When it comes back the observer says so, except after a change of theme, which hides everything
      // for less than a frame: hence one more try.
      if (!this.unseen) this.retry = setTimeout(this.on.changed, AGAIN);
      this.unseen = true;
      return;
    }
    this.unseen = false;
    this.density.now();
    const fitting = Math.max(1, Math.floor((room - GAP) / (shelving.width + GAP)));
    const columns = shelving.row ? Math.max(1, shelving.count) : fitting;
    // What is left of the width is shared out, unless all hang in one row.
    const spread = !shelving.row && shelving.count > fitting;
    const across = Math.max(shelving.width + GAP, spread ? Math.floor((room - GAP) / columns) : 0);
    const anchor = this.laid && this.anchor();
    this.laid = { ...shelving, columns, across, down };
    const [wide, high] = [columns * across + GAP, Math.ceil(shelving.count / columns) * down + GAP];
    element.classList.toggle("cnnviz-row", Boolean(shelving.row));
    this.tall.style.height = `${high}px`;
    this.tall.style.width = shelving.row ? `${wide}px` : "";
    element.style.height = shelving.row ? "" : `${Math.min(high + 2, shelving.most)}px`; // Two for its border.
    if (anchor && !shelving.row) element.scrollTop = Math.floor(anchor.place / columns) * down - anchor.offset;
    for (const [place, tile] of this.tiles) this.put(tile, place);
    this.paint(true);
  }

  /** The tile that stays where it is when sizes change: the one with the ring if it was seen, else the first. */
  anchor() {
    const { columns, down } = this.laid;
    const top = (place) => Math.floor(place / columns) * down - this.element.scrollTop;
    const { start, stop } = this.sight();
    const place = this.cursor !== null && this.cursor >= start && this.cursor < stop ? this.cursor : start;
    return { place, offset: top(place) };
  }

  /** The places in sight: [start, stop). */
  sight() {
    const { count, columns, across, down, row } = this.laid;
    const { scrollLeft, scrollTop, clientWidth, clientHeight } = this.element;
    const [from, seen, each, step] = row ? [scrollLeft, clientWidth, across, 1] : [scrollTop, clientHeight, down, columns];
    const start = clamp(Math.floor(from / each) * step, 0, count);
    return { start, stop: clamp(Math.ceil((from + seen) / each) * step, start, count) };
  }

  schedule() {
    this.frame ??= requestAnimationFrame(() => this.paint(false));
  }

  /** Make the tiles in sight, and forget the others. @param {boolean} all fill those again that are there already */
  paint(all) {
    cancelAnimationFrame(this.frame);
    this.frame = undefined;
    if (!this.laid) return;
    const { start, stop } = this.sight();
    for (const [place, tile] of this.tiles) {
      if (place >= start && place < stop) continue;
      tile.remove();
      this.tiles.delete(place);
    }
    for (let place = start; place < stop; place++) {
      const there = this.tiles.get(place);
      if (there && !all) continue;
      this.on.fill(there ?? this.tile(place), place);
    }
    this.ring();
    this.on.look(start, stop);
  }

  tile(place) {
    const tile = make("div", { className: "cnnviz-tile", id: `${this.id}-${place}` });
    tile.setAttribute("role", "option");
    tile.dataset.place = place;
    this.tiles.set(place, tile);
    this.put(tile, place);
    this.tall.append(tile);
    return tile;
  }

  put(tile, place) {
    const { columns, across, down, width, height, count } = this.laid;
    const [x, y] = [GAP + (place % columns) * across, GAP + Math.floor(place / columns) * down];
    Object.assign(tile.style, { left: `${x}px`, top: `${y}px`, width: `${width}px`, height: `${height}px` });
    tile.setAttribute("aria-posinset", String(place + 1));
    tile.setAttribute("aria-setsize", String(count));
  }

  /** Show which tile is the chosen one. */
  ring() {
    for (const [place, tile] of this.tiles) {
      tile.classList.toggle("cnnviz-chosen", place === this.cursor);
      tile.setAttribute("aria-selected", String(place === this.cursor));
    }
    const there = this.cursor !== null && this.tiles.has(this.cursor);
    if (there) this.element.setAttribute("aria-activedescendant", `${this.id}-${this.cursor}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  /** Give the ring to a place and bring it into sight. @param {number | null} place */
  point(place) {
    this.cursor = place;
    if (place !== null) this.reveal(place);
    this.paint(false);
  }

  /** Scroll, no farther than needed, so that a tile is seen as a whole. */
  reveal(place) {
    if (!this.laid) return;
    const { columns, across, down, row } = this.laid;
    const { element } = this;
    const least = (from, seen, at, each) => clamp(from, at + each + GAP - seen, at);
    if (row) element.scrollLeft = least(element.scrollLeft, element.clientWidth, place * across, across);
    else element.scrollTop = least(element.scrollTop, element.clientHeight, Math.floor(place / columns) * down, down);
  }

  /** Take all tiles down. */
  empty() {
    this.laid = this.cursor = null;
    for (const tile of this.tiles.values()) tile.remove();
    this.tiles.clear();
  }

  /** Back to the first tile. */
  rewind() {
    this.element.scrollTop = this.element.scrollLeft = 0;
  }

  /** Where a key leads from the ring, or null where it is not one for walking. @returns {number | null} */
  led(key) {
    if (!this.laid?.count) return null;
    const { count, columns, down, row } = this.laid;
    const screen = row ? count : columns * Math.max(1, Math.floor(this.element.clientHeight / down));
    const ways = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -screen, PageDown: screen,
      Home: -count, End: count,
    };
    if (!Object.hasOwn(ways, key)) return null;
    const by = ways[key];
    const from = this.cursor;
    if (from === null || from >= count) return by === count ? count - 1 : by === -count ? 0 : this.sight().start;
    const to = from + by;
    // Up and down end in the column where they are; anything else ends at the first or the last tile.
    if (key.startsWith("Arrow") && (to < 0 || to >= count)) return from;
    return clamp(to, 0, count - 1);
  }
}
