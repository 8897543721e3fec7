/** The line between a front end and its kernel. */

const PATIENCE = 5000; // Milliseconds without an answer after which the page says that it is static.

/** Messages to the kernel; `silent` once nobody answers: then the page is a static one. */
export class Link {
  /** @param {() => void} changed called when `silent` may have changed */
  constructor(model, changed) {
    this.model = model;
    this.changed = changed;
    this.silent = false;
    this.timer = 0;
    this.heard = () => this.answered();
    model.on("msg:custom", this.heard);
  }

  /** Send a message and notice when nobody answers. @param {ArrayBuffer[]} buffers */
  say(content, buffers = []) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.silent = true;
      this.changed();
    }, PATIENCE);
    this.model.send(content, undefined, buffers);
  }

  answered() {
    clearTimeout(this.timer);
    this.silent = false;
    this.changed();
  }

  close() {
    clearTimeout(this.timer);
    this.model.off("msg:custom", this.heard);
  }
}

/** Set traits of the model and tell the kernel. @param {Record<string, any>} values */
export function change(model, values) {
  for (const [trait, value] of Object.entries(values)) model.set(trait, value);
  model.save_changes();
}

/** The bytes of a binary trait, however it came. @returns {Uint8Array} */
export function bytesOf(data) {
  if (!ArrayBuffer.isView(data)) return new Uint8Array(data);
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
