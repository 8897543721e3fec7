/**
 * Points become pixels: each is a small disc, blended in whole numbers into one picture, so that 100,000 of them take
 * some milliseconds.
 *
 * @typedef {{ offsets: Int32Array, alphas: Int32Array }} Stamp  where its pixels are, and how much they cover (of 256)
 */

import { CHOSEN, FAINT, PLAIN } from "./point_levels.js";

const PHASES = 4; // Places within a pixel, along each side, at which discs are told apart.

export class PointPainter {
  constructor() {
    /** @type {ImageData | null} */ this.image = null;
    /** @type {Map<string, Stamp[]>} */ this.stamps = new Map();
  }

  /**
   * Begin a picture of so many pixels. @param {number} ground its colour, as `packed` gives it
   * @param {number} margin pixels around it into which discs may reach
   */
  begin(across, down, margin, ground) {
    const [wide, high] = [across + 2 * margin, down + 2 * margin];
    if (this.image?.width !== wide || this.image.height !== high) {
      this.image = new ImageData(wide, high);
      this.pixels = new Int32Array(this.image.data.buffer);
      this.stamps.clear();
    }
    Object.assign(this, { across, down, margin, wide, high });
    this.pixels.fill(ground);
  }

  /**
   * Draw points of one level.
   * @param {{ X: Float32Array, Y: Float32Array, tint: Uint32Array, level: Uint8Array, order?: Uint32Array }} points
   *   order: only these, in this order
   * @param {number} only the level
   * @param {{ scale: number, right: number, under: number }} to from their units to pixels
   * @param {Int32Array} colours by tint, packed
   * @param {{ radius: number, alpha: number, line?: number }} look in pixels; line: rings of this width
   */
  draw({ X, Y, tint, level, order }, only, { scale, right, under }, colours, look) {
    const { pixels, wide, high } = this;
    const stamps = this.stampsOf(look);
    const edge = Math.ceil(look.radius + (look.line ?? 0)) + 1;
    const [lastX, lastY] = [wide - edge - 1, high - edge - 1];
    const [dx, dy] = [right + this.margin, under + this.margin];
    const count = order ? order.length : X.length;
    for (let n = 0; n < count; n++) {
      const k = order ? order[n] : n;
      if (level[k] !== only) continue;
      const x = X[k] * scale + dx;
      const y = dy - Y[k] * scale;
      if (!(x >= edge && y >= edge && x < lastX && y < lastY)) continue;
      const column = x | 0;
      const row = y | 0;
      const { offsets, alphas } = stamps[(((y - row) * PHASES) | 0) * PHASES + (((x - column) * PHASES) | 0)];
      const at = row * wide + column;
      const colour = colours[tint[k]];
      const redBlue = colour & 0xff00ff;
      const green = colour & 0xff00;
      for (let j = 0; j < offsets.length; j++) {
        const place = at + offsets[j];
        const alpha = alphas[j];
        const rest = 256 - alpha;
        const old = pixels[place];
        pixels[place] =
          -0x1000000 |
          (((Math.imul(redBlue, alpha) + Math.imul(old & 0xff00ff, rest) + 0x800080) >>> 8) & 0xff00ff) |
          (((Math.imul(green, alpha) + Math.imul(old & 0xff00, rest) + 0x8000) >>> 8) & 0xff00);
      }
    }
  }

  /** @param {CanvasRenderingContext2D} pen */
  end(pen) {
    const { margin, across, down } = this;
    pen.putImageData(this.image, -margin, -margin, margin, margin, across, down);
  }

  stampsOf({ radius, alpha, line = 0 }) {
    const key = `${radius} ${alpha} ${line}`;
    const known = this.stamps.get(key);
    if (known) return known;
    if (this.stamps.size > 32) this.stamps.clear();
    const made = [];
    for (let y = 0; y < PHASES; y++) for (let x = 0; x < PHASES; x++) made.push(this.stamp(radius, alpha, line, x, y));
    this.stamps.set(key, made);
    return made;
  }

  stamp(radius, alpha, line, phaseX, phaseY) {
    const reach = Math.ceil(radius + line) + 1;
    const [offsets, alphas] = [[], []];
    // The middle of a phase, seen from the middle of the pixel that it is in.
    const [x, y] = [(phaseX + 0.5) / PHASES - 0.5, (phaseY + 0.5) / PHASES - 0.5];
    for (let row = -reach; row <= reach; row++) {
      for (let column = -reach; column <= reach; column++) {
        const away = Math.hypot(column - x, row - y);
        const share = line ? line / 2 + 0.5 - Math.abs(away - radius) : radius + 0.5 - away;
        const cover = Math.round(256 * alpha * Math.min(1, Math.max(0, share)));
        if (!cover) continue;
        offsets.push(row * this.wide + column);
        alphas.push(cover);
      }
    }
    return { offsets: Int32Array.from(offsets), alphas: Int32Array.from(alphas) };
  }
}

/**
 * Draw all points as a view sees them.
 * @param {PointPainter} painter
 * @param {import("./point_state.js").PointState} state
 * @param {import("./point_view.js").PointView} view
 * @param {{ ground: number, packedInk: number }} style
 * @param {{ radius: number, alpha: number, faint: number, colours: Int32Array, tints: Uint32Array }} look
 * @param {{ across: number, down: number, density: number }} size of the canvas in pixels
 */
export function paintPoints(painter, state, view, style, look, { across, down, density }) {
  const to = {
    scale: view.scale * density,
    right: (view.width / 2 - view.x * view.scale) * density,
    under: (view.height / 2 + view.y * view.scale) * density,
  };
  const radius = look.radius * density;
  painter.begin(across, down, 2 * (Math.ceil(radius + 3 * density) + 3), style.ground);
  const points = { X: state.X, Y: state.Y, tint: look.tints, level: state.level };
  const rings = { ...points, order: state.ringed, tint: state.level };
  const ink = new Int32Array(CHOSEN + 1).fill(style.packedInk);
  for (const level of [FAINT, PLAIN, CHOSEN]) {
    const share = level === FAINT ? look.faint : 1;
    const disc = { radius, alpha: look.alpha * share };
    painter.draw(points, level, to, look.colours, disc);
    if (!state.ringed.length) continue;
    painter.draw(rings, level, to, ink, { radius: radius + 1.4 * density, alpha: 0.9 * share, line: 1.3 * density });
    // Where many have rings, their colours would drown in them: they come once more, on top.
    painter.draw({ ...points, order: state.ringed }, level, to, look.colours, disc);
  }
}

/** A colour as the picture holds it. */
export const packed = (red, green, blue) => -0x1000000 | (blue << 16) | (green << 8) | red;
