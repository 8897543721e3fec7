/**
 * What the kernel is doing, and what went wrong.
 *
 * @typedef {{ state: string, text: string, progress: number | null }} Status
 */

import { make, put } from "./elements.js";

/** A progress bar (`track`), a line of words with Stop (`work`), and a box for what went wrong (`alarm`). */
export class Report {
  /** @param {{ stop: () => void, closed: () => void }} on  stop: Stop was pressed; closed: the box was */
  constructor(on) {
    this.shown = ""; // The trouble that is in the box ...
    this.dismissed = ""; // ... and the one that was closed.
    /** @type {Status | null} */ this.status = null;
    /** @type {Status | null} in which Stop was pressed */ this.stopped = null;
    this.fill = make("div", { className: "cnnviz-fill" });
    this.track = make("div", { className: "cnnviz-track" }, this.fill);
    this.track.setAttribute("role", "progressbar");
    this.track.setAttribute("aria-label", "Progress");
    this.state = make("span", { className: "cnnviz-state" });
    this.state.setAttribute("role", "status");
    this.stop = make("button", { type: "button", className: "cnnviz-stop", textContent: "Stop" });
    this.work = make("div", { className: "cnnviz-work" }, this.state, this.stop);
    this.wrong = make("span", {});
    this.close = make("button", { type: "button", className: "cnnviz-close", textContent: "×", title: "Dismiss" });
    this.close.setAttribute("aria-label", "Dismiss the error");
    this.alarm = make("div", { className: "cnnviz-alarm", hidden: true }, this.wrong, this.close);
    this.alarm.setAttribute("role", "alert");
    this.stop.addEventListener("click", () => {
      this.stopped = this.status;
      on.stop();
    });
    this.close.addEventListener("click", () => {
      this.dismissed = this.shown;
      on.closed();
    });
  }

  /** Something was said anew: a box that was closed may open again. */
  renew() {
    this.dismissed = "";
  }

  /**
   * @param {Status} status
   * @param {string} error the widget's own
   * @param {{ problem?: string, busy?: string }} page what the page itself complains about, and what it is doing
   */
  draw(status, error, { problem = "", busy = "" } = {}) {
    this.status = status;
    const running = status.state === "running";
    const failed = status.state === "error" ? status.text || "Something went wrong." : "";
    this.track.classList.toggle("cnnviz-on", running);
    this.track.classList.toggle("cnnviz-unsure", running && status.progress === null);
    const percent = running && status.progress !== null ? 100 * status.progress : null;
    this.fill.style.width = percent === null ? "" : `${percent}%`;
    if (percent === null) this.track.removeAttribute("aria-valuenow");
    else this.track.setAttribute("aria-valuenow", String(Math.round(percent)));
    // Progress is news about the same run; a new state is not.
    if (status.state !== this.stopped?.state) this.stopped = null;
    const words = busy || (failed ? "" : status.text);
    put(this.state, this.stopped ? "Stopping…" : words);
    this.stop.hidden = !running;
    this.stop.disabled = Boolean(this.stopped);
    this.work.hidden = !running && !words;

    this.shown = problem || error || failed;
    this.alarm.hidden = !this.shown || this.shown === this.dismissed;
    if (!this.alarm.hidden) put(this.wrong, this.shown);
  }
}
