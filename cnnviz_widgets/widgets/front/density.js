/** How many pixels of the screen one CSS pixel has, and hearing of it when that changes (another screen, zoom). */

export class Density {
  /** @param {() => void} changed */
  constructor(changed) {
    this.changed = changed;
    /** @type {MediaQueryList | undefined} */ this.query = undefined;
  }

  /** The ratio now; from now on `changed` is called when it is another one. */
  now() {
    const wanted = `(resolution: ${devicePixelRatio}dppx)`;
    if (this.query?.media !== wanted) {
      this.close();
      this.query = matchMedia(wanted);
      this.query.addEventListener("change", this.changed);
    }
    return devicePixelRatio;
  }

  close() {
    this.query?.removeEventListener("change", this.changed);
  }
}
