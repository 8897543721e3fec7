/**
 * What the four figures of a UnitCard show: pieces, caption, tooltip, and the words below.
 *
 * @typedef {{ pieces?: import("./front/figure.js").Piece[], caption: string, title: string, words?: string }} Shown
 */

import { signedBars } from "./front/charts.js";
import { bytesOf } from "./front/link.js";
import { coloured, dim, layOver, offscreen, pixelsOf, placed } from "./front/paint.js";
import { say } from "./front/words.js";

/** The ways to lead a unit back to the pixels, as the kernel and as a reader call them. */
export const METHODS = { deconvnet: "deconvnet", guided_backprop: "guided backprop", saliency: "saliency" };

const NO_VALUE = 65535; // Among the levels of a map.

/** The map in colours over the picture. @returns {Shown} */
export function mapFigure(unit, picture, opacity, tables) {
  const { map } = unit;
  const [height, width] = map.shape;
  const values = valuesOf(map);
  const on = placed({ values, width, height }, unit.rows, unit.columns, picture.width, picture.height);
  const table = bytesOf(tables[map.signed ? "diverging" : "sequential"]);
  const image = layOver(pixelsOf(bytesOf(picture.data), picture.width, picture.height), on, map, table, opacity);
  return {
    pieces: [{ picture: offscreen(image) }],
    caption: `map, ${say(map.lo, 3)} to ${say(map.hi, 3)}`,
    title: "What this channel answers at each place, in colours over the picture that the network saw; " +
      "each value lies in the middle of what it sees.",
  };
}

/** The picture, dimmed outside the mask; without a message the words alone. @returns {Shown} */
export function maskFigure(message, picture) {
  const about = {
    caption: "strongest region",
    title: "Where this channel answers most strongly; the rest of the picture is dimmed.",
  };
  if (!message) return about;
  const top = message.quantile ? `top ${percent(1 - message.quantile)}` : about.caption;
  const above = message.threshold === undefined ? "" : `, above ${say(message.threshold, 3)}`;
  const bits = bytesOf(message.bits);
  const { width, height } = picture;
  const inside = (i) => {
    // The mask may be finer than the picture, or coarser.
    const x = Math.floor((((i % width) + 0.5) * message.width) / width);
    const y = Math.floor(((Math.floor(i / width) + 0.5) * message.height) / height);
    const at = y * message.width + x;
    return ((bits[at >> 3] >> (7 - (at & 7))) & 1) === 1;
  };
  return {
    ...about,
    caption: `${top}${above}`,
    pieces: [{ picture: offscreen(dim(pixelsOf(bytesOf(picture.data), width, height), inside)) }],
    words: `${percent(message.share)} of the picture`,
  };
}

/** The projection beside its patch; without a message the words alone. @returns {Shown} */
export function projectionFigure(message, method) {
  const about = {
    caption: "projection",
    title: `What in its receptive field makes one value of this channel: its signal led back to the pixels by ` +
      `${METHODS[method]} (grey: nothing), beside the patch itself.`,
  };
  if (!message) return about;
  const pieces = [["values", "projection"], ["patch", "patch"]].map(([name, label]) => {
    const { data, width, height } = message[name];
    return { picture: offscreen(pixelsOf(bytesOf(data), width, height)), label };
  });
  const [x0, y0, x1, y1] = message.box;
  const place = `y ${message.y}, x ${message.x}`;
  const off = message.activation === 0 ? " It is off here, so there is nothing to lead back." : "";
  const plain = message.rectified ? "" : " No rectifier lies below it, so all methods agree: this is its kernel.";
  const sees = `it sees the pixels x ${x0} to ${x1 - 1}, y ${y0} to ${y1 - 1}.`;
  return {
    ...about,
    caption: off ? `off at ${place}` : `projection of ${place}`,
    title: `${about.title} The value is ${say(message.activation)}; ${sees}${off}${plain}`,
    pieces,
  };
}

/** The weights, in the way that suits them; without a message the words alone. @returns {Shown} */
export function filterFigure(message, tables) {
  if (!message) return { caption: "filter", title: "The weights that make this channel." };
  const [count, height, width] = message.shape;
  const size = `${height}×${width}`;
  const words = `norm ${say(message.norm, 3)}`;
  if (message.kind === "rgb") {
    return {
      caption: `${size} filter, in colour`,
      title: "The weights as colours about grey: reddish where red speaks for it, grey where the weights are zero.",
      pieces: [{ picture: offscreen(pixelsOf(bytesOf(message.data), message.width, message.height)) }],
      words,
    };
  }
  if (message.kind === "bars") {
    return {
      caption: `1×1 filter, ${count} weight${count > 1 ? "s" : ""}`,
      title: "One weight for each input channel, from first to last, up and red above zero, down and blue below; " +
        "where there are many, a bar spans those of its neighbours.",
      pieces: [{ element: signedBars(message.lows, message.highs, message.limit) }],
      words: `±${say(message.limit, 3)}, ${words}`,
    };
  }
  const [rows, columns] = message.sides;
  const values = new Float32Array(bytesOf(message.values).slice().buffer);
  const scale = { lo: -message.limit, hi: message.limit, signed: true };
  const table = bytesOf(tables.diverging);
  const each = (channel, i) => {
    const kernel = values.subarray(i * rows * columns, (i + 1) * rows * columns);
    const picture = offscreen(coloured(kernel, columns, rows, scale, table));
    return { picture, title: `input channel ${channel}` };
  };
  const shown = message.channels.length;
  return {
    caption: `${shown < count ? `${shown} of ${count}` : count} kernel${count > 1 ? "s" : ""}, ${size}`,
    title: `The kernels over the input channels with the largest weights (${message.channels.join(", ")}), strongest ` +
      "first: red speaks for it, blue against it, all on one scale.",
    pieces: message.channels.map(each),
    words: `±${say(message.limit, 3)}, ${words}`,
  };
}

/** @returns {Float32Array} */
function valuesOf({ levels, lo, hi }) {
  const steps = new Uint16Array(bytesOf(levels).slice().buffer); // A copy: a buffer may start anywhere.
  return Float32Array.from(steps, (step) => (step === NO_VALUE ? NaN : lo + (step / (NO_VALUE - 1)) * (hi - lo)));
}

/** A share as a percentage; what is a little is never said to be nothing, nor nearly all to be all. */
export function percent(share) {
  const hundredths = 100 * share;
  if (hundredths > 0 && hundredths < 0.1) return "under 0.1 %";
  if (hundredths < 100 && hundredths > 99.9) return "over 99.9 %";
  return `${Number(hundredths.toFixed(hundredths < 10 || hundredths > 90 ? 1 : 0))} %`;
}
