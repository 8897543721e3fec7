/** What was kept: a strip of small pictures; one of them can be seen large again. */

import { make } from "./front/elements.js";
import { bytesOf } from "./front/link.js";

export class StudioGallery {
  /** @param {(content: object) => void} say */
  constructor(say) {
    this.say = say;
    /** @type {string[]} */ this.addresses = [];
    this.strip = make("div", { className: "cnnviz-strip" });
    this.strip.setAttribute("role", "list");
    this.element = make("div", { className: "cnnviz-kept" }, make("h4", { textContent: "Kept" }), this.strip);
  }

  close() {
    for (const address of this.addresses) URL.revokeObjectURL(address);
    this.addresses = [];
  }

  /** @param {any[]} kept @param {number | null} looked which one is seen large @param {boolean} silent */
  draw(kept, looked, silent) {
    this.element.hidden = !kept.length;
    if (kept === this.drawn && looked === this.looked && silent === this.silent) return;
    if (kept !== this.drawn) this.fill(kept);
    Object.assign(this, { drawn: kept, looked, silent });
    for (const item of this.strip.children) {
      const [picture, cross] = item.children;
      picture.setAttribute("aria-pressed", String(Number(item.dataset.id) === looked));
      picture.disabled = cross.disabled = silent;
    }
  }

  fill(kept) {
    const held = this.strip.contains(document.activeElement);
    const more = kept.length > (this.drawn?.length ?? 0);
    this.close();
    this.strip.replaceChildren(...kept.map((one) => this.item(one)));
    if (more) this.strip.scrollLeft = this.strip.scrollWidth;
    else if (held) this.strip.querySelector("button")?.focus(); // What had the focus was taken away.
  }

  item({ id, name, how, words, picture }) {
    const address = URL.createObjectURL(new Blob([bytesOf(picture)], { type: "image/jpeg" }));
    this.addresses.push(address);
    const image = make("img", { src: address, alt: "" });
    const lines = [name, how, words].map((textContent) => make("span", { textContent }));
    const look = make("button", { type: "button", className: "cnnviz-look" }, image, ...lines);
    look.title = `${name}, ${how}: ${words}. See it large again`;
    look.addEventListener("click", () => this.say(this.looked === id ? { type: "back" } : { type: "look", id }));
    const cross = make("button", { type: "button", className: "cnnviz-close", textContent: "×" });
    cross.title = `Remove ${name} from the gallery`;
    cross.setAttribute("aria-label", cross.title);
    cross.addEventListener("click", () => this.say({ type: "remove", id }));
    for (const button of [look, cross]) button.dataset.lmSuppressShortcuts = "true";
    const item = make("div", { className: "cnnviz-kept-one" }, look, cross);
    item.setAttribute("role", "listitem");
    item.dataset.id = String(id);
    return item;
  }
}
