/** Which colours values get: a menu of the colormaps whose tables the kernel sent. */

import { make } from "./elements.js";
import { bytesOf, change } from "./link.js";

/** The menu (`field`), and the table of colours that is chosen. Traits: tables, colormap, automatic. */
export class ColourMenu {
  constructor(model) {
    this.model = model;
    this.select = make("select", {});
    this.field = make("label", { className: "cnnviz-field" }, make("span", { textContent: "Colours" }), this.select);
    this.select.addEventListener("change", () => change(model, { colormap: this.select.value }));
  }

  /** @param {boolean} colored what is shown has colours of its own */
  draw(colored) {
    const names = Object.keys(this.model.get("tables"));
    if (this.select.options.length !== names.length + 1) {
      const options = ["", ...names].map((name) => make("option", { value: name, textContent: name || "Automatic" }));
      this.select.replaceChildren(...options);
    }
    this.select.value = this.model.get("colormap");
    this.select.disabled = colored;
    this.select.title = colored ? "This map has colours of its own" : "";
  }

  /** Choose the next one, as a key does. */
  next() {
    const names = ["", ...Object.keys(this.model.get("tables"))];
    change(this.model, { colormap: names[(names.indexOf(this.model.get("colormap")) + 1) % names.length] });
  }

  /** The 256 colours RGBA; the same array as long as they are the same. @param {boolean} signed */
  table(signed) {
    const tables = this.model.get("tables");
    const usual = this.model.get("automatic")[signed ? "diverging" : "sequential"];
    const data = tables[this.model.get("colormap") || usual] ?? tables[usual];
    if (data !== this.data) [this.data, this.bytes] = [data, data && bytesOf(data)];
    return this.bytes;
  }
}
