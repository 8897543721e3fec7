/** Files from outside: chosen in a dialog, dropped or pasted. */

import { make } from "./elements.js";

const LARGEST = 20_000_000;

/**
 * Let pictures be dropped on `root`, pasted into it, or opened with the hidden input that is returned (`click()` it).
 * @param {HTMLElement} root gets the class cnnviz-dropping while a file is over it
 * @param {(file: File) => void} take
 * @param {(words: string) => void} refuse what is wrong with a file that is not taken
 * @param {() => boolean} able whether files are wanted at all now
 */
export function receiveFiles(root, take, refuse, able = () => true) {
  const input = make("input", { type: "file", accept: "image/*", hidden: true, tabIndex: -1 });
  const first = (files) => {
    const file = files[0];
    if (!file) refuse("That was no file. Save the picture first, then drop or open the file.");
    else if (file.size > LARGEST) {
      const size = (file.size / 1e6).toFixed(1);
      refuse(`${file.name} has ${size} MB; pictures up to ${LARGEST / 1e6} MB can be opened.`);
    } else take(file);
  };
  const drag = (event, over) => {
    if (!able()) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.dataTransfer) event.dataTransfer.dropEffect = "copy";
    root.classList.toggle("cnnviz-dropping", over);
  };
  input.addEventListener("change", () => {
    first(input.files);
    input.value = ""; // So that the same file can be chosen again.
  });
  root.addEventListener("dragover", (event) => drag(event, true));
  root.addEventListener("dragleave", (event) => {
    if (!root.contains(/** @type {Node} */ (event.relatedTarget))) drag(event, false);
  });
  root.addEventListener("drop", (event) => {
    drag(event, false);
    if (able()) first(event.dataTransfer.files);
  });
  root.addEventListener("paste", (event) => {
    if (!able() || !event.clipboardData.files.length) return;
    event.preventDefault();
    event.stopPropagation();
    first(event.clipboardData.files);
  });
  return input;
}
