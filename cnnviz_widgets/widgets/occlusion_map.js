/** The map of all places of the patch: a cell for each, drawn where the patch's centre is, over the dimmed picture. */

import { indexOf } from "./front/colours.js";
import { clamp, make, put } from "./front/elements.js";
import { fillWith, Pane } from "./front/pane.js";
import { showPatch } from "./occlusion_patch.js";

const FADED = 0.15; // How much is left of the other classes while one is pointed at.

export class MapPane {
  /** @param {import("./occlusion_state.js").Occlusion} state @param {() => void} changed */
  constructor(state, changed) {
    this.state = state;
    this.patch = make("div", { className: "cnnviz-oc-reach" });
    this.cell = make("div", { className: "cnnviz-oc-cell" });
    this.note = make("div", { className: "cnnviz-note" });
    this.pane = new Pane(changed, this.patch, this.cell, this.note);
    this.element = this.pane.element;
    const { canvas } = this.pane;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-roledescription", "map of the patch's places");
    canvas.classList.add("cnnviz-oc-point");
    canvas.addEventListener("pointermove", (event) => this.point(event));
    canvas.addEventListener("pointerdown", (event) => this.point(event));
    canvas.addEventListener("pointerleave", () => state.sync());
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  close() {
    this.pane.close();
  }

  /**
   * @param {{ opacity: number, scale: import("./front/colours.js").Scale | null, table: Uint8Array,
   *   lit: number | null }} look  lit: the class that is pointed at in the legend
   */
  draw({ opacity, scale, table, lit }) {
    const { pictures, map, place, link } = this.state;
    this.element.hidden = !pictures;
    if (!pictures) return;
    const { width, height } = pictures;
    this.element.style.aspectRatio = `${width} / ${height}`;
    const from = [pictures, map, opacity, scale?.lo, scale?.hi, table, lit];
    this.pane.paint(from, (pen, across, down, density) => {
      fillWith(pen, pictures.dimmed, across, down);
      if (map) this.paintCells(pen, across, down, density, { opacity, scale, table, lit });
    });
    this.note.hidden = Boolean(map);
    put(this.note, link.silent ? "not kept in this page" : "no map yet");
    showPatch(this.patch, this.state.model.get("patch"), map && place, pictures);
    this.drawCell();
    const keys = map ? "Point at a cell, or use the arrow keys, to put the patch there." : "No map yet.";
    this.pane.canvas.setAttribute("aria-label", `Map${map?.label ? `: ${map.label}` : ""}. ${keys}`);
  }

  paintCells(pen, across, down, density, { opacity, scale, table, lit }) {
    const { map, pictures } = this.state;
    const { h, w } = this.state.model.get("patch");
    const rows = bounds(map.tops, h, pictures.height).map((edge) => Math.round((edge / pictures.height) * down));
    const columns = bounds(map.lefts, w, pictures.width).map((edge) => Math.round((edge / pictures.width) * across));
    const classes = map.kind === "classes";
    const colours = classes
      ? map.classes.map(({ color }) => `rgb(${color.join(" ")})`)
      : Array.from({ length: 256 }, (_, i) => `rgb(${table[4 * i]} ${table[4 * i + 1]} ${table[4 * i + 2]})`);
    const hatching = hatch(pen, density);
    for (let i = 0; i < map.tops.length; i++) {
      for (let j = 0; j < map.lefts.length; j++) {
        const value = map.at(i, j);
        const known = value === value;
        pen.fillStyle = known ? colours[classes ? value : indexOf(value, scale.lo, scale.hi, scale.signed)] : hatching;
        const faded = known && classes && lit !== null && map.classes[value].number !== lit;
        pen.globalAlpha = known ? opacity * (faded ? FADED : 1) : 1;
        pen.fillRect(columns[j], rows[i], columns[j + 1] - columns[j], rows[i + 1] - rows[i]);
      }
    }
    pen.globalAlpha = 1;
  }

  /** Mark the cell at which the patch is; beside the grid, the patch's centre. */
  drawCell() {
    const { map, cell, place, pictures } = this.state;
    this.cell.hidden = !map || !place;
    if (this.cell.hidden) return;
    const { h, w } = this.state.model.get("patch");
    this.cell.classList.toggle("cnnviz-oc-between", !cell);
    const { width, height } = pictures;
    const rows = cell ? bounds(map.tops, h, height).slice(cell.row, cell.row + 2) : [place.y + h / 2];
    const columns = cell ? bounds(map.lefts, w, width).slice(cell.column, cell.column + 2) : [place.x + w / 2];
    Object.assign(this.cell.style, {
      top: `${(100 * rows[0]) / height}%`, left: `${(100 * columns[0]) / width}%`,
      height: cell ? `${(100 * (rows[1] - rows[0])) / height}%` : "",
      width: cell ? `${(100 * (columns[1] - columns[0])) / width}%` : "",
    });
  }

  /** What the map says at the patch, as pairs of a name and a value. @param {(value: number) => string} say */
  words(say) {
    const { map, cell, place } = this.state;
    if (!map || !place) return [];
    const value = map.at(cell?.row ?? nearest(map.tops, place.y), cell?.column ?? nearest(map.lefts, place.x));
    const behind = map.unit && ` ${map.unit}`;
    const where = cell ? "" : " at the nearest place";
    if (value !== value) return [[cell ? "here" : "at the nearest place", "not computed yet"]];
    if (map.kind === "classes") return [[`most probable${where}`, map.classes[value].name]];
    const own = [(map.label.split(" ")[0] || "value") + where, say(value) + behind];
    if (map.base === null) return [own];
    const off = value - map.base;
    const signed = `${off < 0 ? "−" : off > 0 ? "+" : ""}${say(Math.abs(off))}`;
    return [own, ["without patch", say(map.base) + behind], ["difference", signed + behind]];
  }

  point(event) {
    const { map, pictures } = this.state;
    if (!map) return;
    const { h, w } = this.state.model.get("patch");
    const { y, x } = this.pane.spot(event);
    this.state.visit(
      within(bounds(map.tops, h, pictures.height), y * pictures.height),
      within(bounds(map.lefts, w, pictures.width), x * pictures.width),
    );
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const { map, cell, place } = this.state;
    if (event.ctrlKey || event.metaKey || event.altKey || !map || !place) return;
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: null };
    if (!Object.hasOwn(steps, event.key)) return; // Tab, Escape and all others belong to the page.
    event.preventDefault();
    event.stopPropagation();
    const [down, right] = steps[event.key] ?? [0, 0];
    const last = [map.tops.length - 1, map.lefts.length - 1];
    if (event.key === "Home") this.state.visit(last[0] >> 1, last[1] >> 1);
    else if (cell) this.state.visit(clamp(cell.row + down, 0, last[0]), clamp(cell.column + right, 0, last[1]));
    else this.state.visit(nearest(map.tops, place.y), nearest(map.lefts, place.x)); // Onto the grid first.
  }
}

/** The edges of the cells along one side, in pixels of the picture: halfway between the patch's centres. */
function bounds(starts, size, length) {
  const centres = Array.from(starts, (start) => start + size / 2);
  const last = centres.length - 1;
  const half = (i) => (last ? (centres[i + 1] - centres[i]) / 2 : size / 2);
  const edges = [centres[0] - half(0)];
  for (let i = 0; i < last; i++) edges.push(centres[i] + half(i));
  edges.push(centres[last] + half(Math.max(0, last - 1)));
  return edges.map((edge) => clamp(edge, 0, length));
}

/** Which cell a point lies in; beyond the outermost, that one. */
function within(edges, at) {
  let cell = 0;
  while (cell < edges.length - 2 && at >= edges[cell + 1]) cell++;
  return cell;
}

function nearest(starts, at) {
  let best = 0;
  starts.forEach((start, i) => {
    if (Math.abs(start - at) < Math.abs(starts[best] - at)) best = i;
  });
  return best;
}

/** Fine lines for what is not computed yet. */
function hatch(pen, density) {
  const side = Math.max(4, Math.round(6 * density));
  const tile = make("canvas", { width: side, height: side });
  const ink = tile.getContext("2d");
  ink.strokeStyle = "rgb(255 255 255 / 35%)";
  ink.lineWidth = density;
  ink.beginPath();
  for (const shift of [-side, 0, side]) {
    ink.moveTo(shift - 1, side + 1);
    ink.lineTo(shift + side + 1, -1);
  }
  ink.stroke();
  return pen.createPattern(tile, "repeat");
}
