/** What the front end of PictureSource remembers: the camera, the thumbnails that came, the line to the kernel. */

import { Camera } from "./front/camera.js";
import { bytesOf, change, Link } from "./front/link.js";

const SOURCE_TRAITS = ["live", "frozen", "mirror", "size", "shown", "error", "names", "page"];

/** What the views of one model share. */
export class Source {
  constructor() {
    /** @type {Set<SourceView>} */ this.views = new Set();
    /** @type {Map<string, string>} addresses by name */ this.thumbnails = new Map();
    /** @type {Set<string>} thumbnails that the kernel was asked for */ this.asked = new Set();
    /** @type {((ground: ImageBitmap) => void) | null} who waits for the present picture */ this.grounded = null;
    this.me = Math.random().toString(36).slice(2); // This page among all that show the widget.
    this.kernel = false; // Whether one has answered: a saved page must not start a camera.
  }

  /** Follow the model from now on. @returns {() => void} how to stop */
  attach(model) {
    this.model = model;
    this.camera = new Camera({
      look: () => ({ size: model.get("size"), mirror: model.get("mirror"), ahead: model.get("ahead") }),
      send: (content, buffers) => model.send({ ...content, page: this.me }, undefined, buffers),
      changed: () => this.changed(),
      lost: (words) => this.fail(words),
    });
    const handlers = SOURCE_TRAITS.map((trait) => [`change:${trait}`, () => this.follow(trait)]);
    const heard = (content, buffers) => this.hear(content, buffers);
    const hidden = () => this.look();
    const left = () => this.leave();
    for (const [event, handler] of handlers) model.on(event, handler);
    model.on("msg:custom", heard);
    document.addEventListener("visibilitychange", hidden);
    addEventListener("pagehide", left);
    this.link = new Link(model, () => this.changed());
    this.link.say({ type: "hello" });
    return () => {
      this.camera.stop();
      this.link.close();
      for (const [event, handler] of handlers) model.off(event, handler);
      model.off("msg:custom", heard);
      document.removeEventListener("visibilitychange", hidden);
      removeEventListener("pagehide", left);
      for (const address of this.thumbnails.values()) if (address) URL.revokeObjectURL(address);
    };
  }

  follow(trait) {
    if (trait === "live" || trait === "page") this.followCamera();
    if (trait === "frozen") this.camera.freeze(this.model.get("frozen"));
    this.changed();
  }

  /** `live` without a page is a wish of Python's; with one it says whose camera runs. */
  followCamera() {
    const { model, camera } = this;
    const [live, page] = [model.get("live"), model.get("page")];
    if (!live || (page && page !== this.me)) camera.stop();
    else if (!page && this.kernel && this.views.size) this.start();
  }

  async start() {
    if (this.starting || this.camera.running) return;
    this.starting = true;
    this.changed();
    try {
      if (await this.camera.start()) {
        change(this.model, { live: true, page: this.me, error: "" });
        this.look();
      }
    } catch (error) {
      this.fail(error.message);
    } finally {
      this.starting = false;
      this.changed();
    }
  }

  stop() {
    this.camera.stop();
    change(this.model, { live: false, frozen: false });
    this.changed();
  }

  fail(words) {
    this.camera.stop();
    change(this.model, { live: false, error: words });
  }

  /** The page goes, or the last view of it: nobody films in secret. */
  leave() {
    if (this.camera.running || this.starting) this.stop();
  }

  /** Film only while somebody can see it. */
  look() {
    this.camera.pause(document.hidden || [...this.views].every((view) => !view.inSight()));
  }

  async hear(content, buffers) {
    if (!this.kernel) {
      this.kernel = true;
      this.followCamera();
    }
    if (content.type === "done") {
      this.camera.answer(content.numbers);
      for (const view of this.views) view.gate.answer(content.numbers);
    }
    if (content.type === "thumbnail") {
      const data = bytesOf(buffers[0]);
      const address = data.length ? URL.createObjectURL(new Blob([data], { type: "image/jpeg" })) : "";
      this.thumbnails.set(content.name, address);
      this.changed();
    }
    if (content.type === "ground") {
      const ground = await createImageBitmap(new Blob([bytesOf(buffers[0])], { type: "image/png" }));
      this.grounded?.(ground);
      this.grounded = null;
    }
  }

  changed() {
    for (const view of this.views) view.schedule();
  }

  /** Ask for thumbnails, each once. */
  need(names) {
    const missing = names.filter((name) => !this.asked.has(name));
    for (const name of missing) this.asked.add(name);
    if (missing.length) this.link.say({ type: "thumbnails", names: missing });
  }

  choose(name) {
    this.link.say({ type: "choose", name });
  }

  /** Have the present picture, square and whole, handed to `then`. */
  fetchGround(then) {
    this.grounded = then;
    this.link.say({ type: "ground" });
  }

  /** @param {File} file the kernel knows whether it is a picture */
  async open(file) {
    try {
      this.link.say({ type: "file", name: file.name }, [await file.arrayBuffer()]);
    } catch (error) {
      change(this.model, { error: `${file.name} could not be read: ${error.message}` });
    }
  }
}
