/** What comes to an OcclusionCanvas, from bytes to numbers. */

import { bytesOf } from "./front/link.js";
import { offscreen, pixelsOf } from "./front/paint.js";

const NOT_YET = 65535; // In a map of classes.
const LEVELS = 65535; // Of a probability.

const aligned = (data) => bytesOf(data).slice().buffer; // A copy: a buffer may start anywhere.

/**
 * Where a patch was put: every top with every left.
 * @typedef {{ tops: Int32Array, lefts: Int32Array }} Grid
 */

/** @returns {Grid} */
const gridOf = (sent) => ({ tops: new Int32Array(aligned(sent.tops)), lefts: new Int32Array(aligned(sent.lefts)) });

/** The place in a grid, or null beside it. @returns {{ row: number, column: number } | null} */
export function placeIn({ tops, lefts }, { y, x }) {
  const [row, column] = [tops.indexOf(y), lefts.indexOf(x)];
  return row < 0 || column < 0 ? null : { row, column };
}

/** The nearest place at which there is an answer. @returns {{ y: number, x: number } | null} */
export function nearestIn(answers, { y, x }) {
  const { tops, lefts } = answers;
  let best = null;
  for (let row = 0; row < tops.length; row++) {
    for (let column = 0; column < lefts.length; column++) {
      const far = (tops[row] - y) ** 2 + (lefts[column] - x) ** 2;
      if ((!best || far < best.far) && answers.has({ row, column })) best = { far, y: tops[row], x: lefts[column] };
    }
  }
  return best && { y: best.y, x: best.x };
}

/** Picture and what stands under the patch, as canvases of one pixel for each of theirs. */
export function scenePictures({ width, height, data, fill }) {
  const [picture, under] = [data, fill].map((rgb) => pixelsOf(bytesOf(rgb), width, height));
  return { width, height, picture: offscreen(picture), fill: offscreen(under), dimmed: offscreen(dimmed(picture)) };
}

/** What a map is laid over: seen well enough to know where one is, grey so that the map's colours are its own. */
function dimmed({ data, width, height }) {
  const image = new ImageData(width, height);
  for (let i = 0; i < data.length; i += 4) {
    const grey = 40 + 0.55 * (0.3 * data[i] + 0.59 * data[i + 1] + 0.11 * data[i + 2]);
    image.data.set([grey, grey, grey, 255], i);
  }
  return image;
}

/**
 * A map. `at(row, column)` is a value, or a place in the list of classes; NaN where nothing is computed yet.
 * @typedef {{ scene: string, key: string, label: string, unit: string, kind: string, base: number | null,
 *   lo: number, hi: number, signed: boolean,
 *   classes: { number: number, name: string, count: number, color: number[] }[],
 *   at: (row: number, column: number) => number } & Grid} SweepMap
 * @returns {SweepMap}
 */
export function mapOf(sent) {
  const classes = sent.kind === "classes";
  const values = classes ? new Uint16Array(aligned(sent.values)) : new Float32Array(aligned(sent.values));
  const grid = gridOf(sent);
  const across = grid.lefts.length;
  const at = (row, column) => {
    const value = values[row * across + column];
    return classes && value === NOT_YET ? NaN : value;
  };
  const { scene, key, label, unit, kind, base, lo = 0, hi = 0, signed = false } = sent;
  return { scene, key, label, unit, kind, base, lo, hi, signed, classes: sent.classes ?? [], at, ...grid };
}

/**
 * The answers at the places of a grid.
 * @returns {Grid & { scene: string, key: string, has: (at: any) => boolean, at: (at: any) => any }}
 */
export function answersOf(sent) {
  const { most, names, scene, key } = sent;
  const grid = gridOf(sent);
  const across = grid.lefts.length;
  const cells = across * grid.tops.length;
  const indices = new Int32Array(aligned(sent.indices));
  const shares = new Uint16Array(aligned(sent.probabilities));
  const base = new Uint16Array(aligned(sent.base));
  const each = base.length / cells;
  const from = ({ row, column }) => row * across + column;
  return {
    ...grid, scene, key,
    has: (at) => indices[from(at) * most] >= 0,
    at(place) {
      const start = from(place) * most;
      const guess = (i) => ({ number: indices[i], name: nameIn(names, indices[i]), p: shares[i] / LEVELS });
      const guesses = Array.from({ length: most }, (_, i) => guess(start + i)).filter(({ number }) => number >= 0);
      const sunk = [...base.subarray(from(place) * each, (from(place) + 1) * each)].map((share) => share / LEVELS);
      return { y: grid.tops[place.row], x: grid.lefts[place.column], guesses, sunk };
    },
  };
}

/** The kernel's answer for one place. */
export function answerOf(sent) {
  return { scene: sent.scene, y: sent.y, x: sent.x, guesses: guessesOf(sent), sunk: sent.base };
}

/** The classes without a patch; `all(number)` is the probability of any class, or null. */
export function baseOf(sent) {
  const every = new Float32Array(aligned(sent.all));
  const guesses = guessesOf(sent);
  const all = (number) => every[number] ?? guesses.find((guess) => guess.number === number)?.p ?? null;
  return { picture: sent.picture, guesses, all };
}

function guessesOf({ indices, probabilities, names }) {
  return indices.map((number, i) => ({ number, name: nameIn(names, number), p: probabilities[i] }));
}

const nameIn = (names, number) => names[number] ?? `class ${number}`;
