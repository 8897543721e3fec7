/** The elements that the front ends are built from. */

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** Set a text only when it is another one, or a screen reader says it again. */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @returns {any} */
export function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** A labelled slider from 0 to 100 with its value beside it. */
export function slider(name) {
  const input = make("input", { type: "range", min: "0", max: "100", step: "1" });
  const output = make("output", {});
  const field = make("label", { className: "cnnviz-field" }, make("span", { textContent: name }), input, output);
  const show = (share) => {
    input.value = String(Math.round(100 * share));
    input.setAttribute("aria-valuetext", `${Math.round(100 * share)} %`);
    output.textContent = `${Math.round(100 * share)} %`;
  };
  return { field, input, show };
}

export function padlock() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.innerHTML =
    '<path fill="none" stroke="currentColor" stroke-width="1.6"/><rect x="3" y="7" width="10" height="7" rx="1.5"/>';
  return svg;
}

const PADLOCK = { open: "M5 7V4.5a2.5 2.5 0 0 1 4.8-1", shut: "M5 7V4.5a3 3 0 0 1 6 0V7" };

/** Draw a padlock's state. @param {Element} button one that holds a `padlock()` */
export function showLock(button, locked) {
  button.setAttribute("aria-pressed", String(locked));
  button.querySelector("path").setAttribute("d", PADLOCK[locked ? "shut" : "open"]);
}

/** A list of keys and what they do, folded away. @param {[string, string][]} keys */
export function keysHelp(keys) {
  const line = ([key, does]) => [make("dt", { textContent: key }), make("dd", { textContent: does })];
  const list = make("dl", {}, ...keys.flatMap(line));
  return make("details", { className: "cnnviz-help" }, make("summary", { textContent: "Keys" }), list);
}

/**
 * Keep arrows and letters from JupyterLab, which would take them for its own shortcuts. Those of its notebooks are bound
 * to whatever has the focus, so each element that can have it must say so itself. Tab and Escape are left alone.
 * @param {HTMLElement} root
 */
export function keepKeys(root) {
  const able = "canvas, button, input, select, summary, textarea, [tabindex]";
  for (const element of [root, ...root.querySelectorAll(able)]) {
    /** @type {HTMLElement} */ (element).dataset.lmSuppressShortcuts = "true";
  }
}
