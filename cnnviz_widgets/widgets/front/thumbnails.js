/**
 * Small pictures that the kernel has and the page asks for by their numbers.
 *
 * cnnviz_widgets/widgets/thumbnails.py answers.
 */

import { bytesOf } from "./link.js";
import { Wishes } from "./wishes.js";

/**
 * What one model has of its thumbnails. `get` gives an ImageBitmap to be drawn at once and not to be kept, for it is
 * closed when others need its place; null where there is no picture; undefined while it is not here.
 */
export class Thumbnails extends Wishes {
  /** @param {number} most how many are kept */
  constructor(most = 512) {
    super("thumbnails", most, (picture) => picture?.close());
  }

  /**
   * Follow the model from now on.
   * @param {import("./link.js").Link} link the model's
   * @param {() => void} changed some came, or others are to be shown
   * @returns {() => void} how to stop
   */
  attach(model, link, changed) {
    return this.follow(model, link, "thumbnail_source", changed);
  }

  /** Whether there are any. */
  get some() {
    return Boolean(this.source);
  }

  get source() {
    return this.model.get("thumbnail_source") ?? "";
  }

  /** Keep a picture that came by another way. @param {Uint8Array} bytes encoded */
  async take(number, bytes, source) {
    if (!this.get(number)) await this.keep([number], decoded(bytes).then((picture) => [picture]), source);
  }

  async ready(_content, buffers) {
    return Promise.all(buffers.map((buffer) => decoded(bytesOf(buffer))));
  }
}

/** @param {Uint8Array} bytes @returns {Promise<ImageBitmap | null>} */
async function decoded(bytes) {
  if (!bytes.length) return null;
  try {
    return await createImageBitmap(new Blob([bytes]));
  } catch {
    return null; // No picture: nothing is drawn, and it is not asked for again.
  }
}
