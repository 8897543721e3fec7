/** A grid of named thumbnails, of which one can be chosen. */

import { clamp, make, put } from "./elements.js";

/** Thumbnails are asked for when they come into sight. */
export class Chooser {
  /** @param {{ need: (names: string[]) => void, choose: (name: string) => void }} owner */
  constructor(owner) {
    this.owner = owner;
    /** @type {Map<string, HTMLElement>} */ this.buttons = new Map();
    this.root = make("div", { className: "cnnviz-pic-grid" });
    this.root.setAttribute("role", "radiogroup");
    this.root.setAttribute("aria-label", "Pictures to choose from");
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.seen = new IntersectionObserver((entries) => {
      const inSight = entries.filter((entry) => entry.isIntersecting).map((entry) => entry.target);
      for (const button of inSight) this.seen.unobserve(button);
      if (inSight.length) owner.need(inSight.map((button) => /** @type {HTMLElement} */ (button).dataset.name));
    });
  }

  /**
   * @param {string[]} names
   * @param {string} chosen "" for none
   * @param {Map<string, string>} thumbnails addresses by name, "" for a picture that cannot be opened
   */
  draw(names, chosen, thumbnails) {
    if ([...this.buttons.keys()].join("\n") !== names.join("\n")) this.fill(names);
    for (const [name, button] of this.buttons) {
      const address = thumbnails.get(name);
      const image = button.querySelector("img");
      if (address && image.src !== address) image.src = address;
      image.hidden = !address;
      put(button.querySelector("i"), address === "" ? "cannot be opened" : "");
      button.setAttribute("aria-checked", String(name === chosen));
      button.tabIndex = name === (this.buttons.has(chosen) ? chosen : names[0]) ? 0 : -1;
    }
  }

  fill(names) {
    this.seen.disconnect();
    this.buttons = new Map(names.map((name) => [name, this.button(name)]));
    this.root.replaceChildren(...this.buttons.values());
    for (const button of this.buttons.values()) this.seen.observe(button);
  }

  button(name) {
    const image = make("img", { alt: "", hidden: true });
    const frame = make("span", { className: "cnnviz-pic-thumb" }, image, make("i", {}));
    const words = make("span", { className: "cnnviz-pic-name", textContent: name });
    const button = make("button", { type: "button", title: name }, frame, words);
    button.setAttribute("role", "radio");
    button.dataset.name = name;
    button.dataset.lmSuppressShortcuts = "true";
    button.addEventListener("click", () => this.owner.choose(name));
    return button;
  }

  /** Arrows walk, as in any group of choices; Enter and the space bar choose. @param {KeyboardEvent} event */
  key(event) {
    const all = [...this.buttons.values()];
    const at = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const across = all.filter((button) => button.offsetTop === all[0].offsetTop).length;
    const steps = {
      ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across, Home: -all.length, End: all.length,
    };
    if (at < 0 || !Object.hasOwn(steps, event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const next = all[clamp(at + steps[event.key], 0, all.length - 1)];
    for (const button of all) button.tabIndex = button === next ? 0 : -1;
    next.focus();
  }

  destroy() {
    this.seen.disconnect();
  }
}
