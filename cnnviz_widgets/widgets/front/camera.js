/** The camera as a stream of small square pictures. */

import { Gate } from "./gate.js";

const WANTED_VIDEO = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } };
const RATE_OVER = 2000; // Milliseconds over which frames a second are counted.

/**
 * One camera. Its `canvas` always holds the newest picture as it is sent: cut square from the middle, scaled, mirrored.
 * A picture is sent while no more than `ahead` are without an answer.
 */
export class Camera {
  /**
   * @param {{ look: () => { size: number, mirror: boolean, ahead: number }, send: (content: object, buffers: ArrayBuffer[]) => void,
   *   changed: () => void, lost: (words: string) => void }} owner  `changed`: there is something new to be seen;
   *   `lost`: the camera ended by itself
   */
  constructor(owner) {
    this.owner = owner;
    this.canvas = document.createElement("canvas");
    this.pen = this.canvas.getContext("2d", { willReadFrequently: true });
    this.gate = new Gate(() => this.encode(), owner.send, () => owner.look().ahead);
    /** @type {MediaStream | null} */ this.stream = null;
    this.frozen = false;
    this.paused = false;
    this.attempt = 0;
    /** @type {number[]} when the last answers came */ this.answers = [];
  }

  get running() {
    return this.stream !== null;
  }

  /** @returns {Promise<boolean>} whether it runs now; false when it was stopped meanwhile. @throws {Error} in words */
  async start() {
    const attempt = ++this.attempt;
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error(
        "A camera needs a secure page: https, or http on localhost. " +
          `This page is at ${location.origin}, so the browser does not offer one.`,
      );
    }
    const stream = await navigator.mediaDevices.getUserMedia({ video: WANTED_VIDEO, audio: false }).catch((error) => {
      throw new Error(inWords(error));
    });
    if (attempt !== this.attempt) {
      release(stream);
      return false;
    }
    this.stream = stream;
    stream.getVideoTracks()[0].addEventListener("ended", () => {
      if (this.stream === stream) this.owner.lost("The camera was disconnected.");
    });
    this.video = Object.assign(document.createElement("video"), { muted: true, playsInline: true, srcObject: stream });
    this.answers = [];
    this.play();
    this.watch(this.video);
    return true;
  }

  /** Release the camera, also one that is about to start. */
  stop() {
    this.attempt += 1;
    this.gate.close();
    if (this.stream) release(this.stream);
    if (this.video) this.video.srcObject = null;
    this.stream = this.video = null;
    this.frozen = this.paused = false;
  }

  /** Keep the picture that is seen now (it is the last one to be sent), or go on. */
  freeze(frozen) {
    this.frozen = frozen;
    this.answers = [];
  }

  /** Film nothing while nobody looks. */
  pause(paused) {
    if (paused === this.paused || !this.running) return;
    this.paused = paused;
    this.answers = [];
    if (paused) this.video.pause();
    else this.play();
    this.owner.changed();
  }

  /** The kernel has worked a picture off. */
  answer(numbers) {
    if (this.gate.answer(numbers)) this.answers = [...this.answers, performance.now()].slice(-100);
  }

  /** Pictures a second that the kernel worked off, 0 while too few are known. */
  rate() {
    const since = performance.now() - RATE_OVER;
    const recent = this.answers.filter((time) => time > since);
    if (recent.length < 2) return 0;
    return (1000 * (recent.length - 1)) / (recent[recent.length - 1] - recent[0]);
  }

  play() {
    this.video.play().catch(() => {}); // Interrupted by a pause or a stop, which is as it should be.
  }

  /** Take every picture of the video, as long as it is this camera's. */
  watch(video) {
    const take = () => {
      if (video !== this.video) return;
      if (!this.frozen && !this.paused && video.videoWidth) {
        this.film(video);
        this.gate.wish();
        this.owner.changed();
      }
      this.watch(video);
    };
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(take);
    else requestAnimationFrame(take);
  }

  film(video) {
    const { size, mirror } = this.owner.look();
    const { canvas, pen } = this;
    if (canvas.width !== size) canvas.width = canvas.height = size;
    const side = Math.min(video.videoWidth, video.videoHeight);
    const left = (video.videoWidth - side) / 2;
    const top = (video.videoHeight - side) / 2;
    pen.setTransform(mirror ? -1 : 1, 0, 0, 1, mirror ? size : 0, 0);
    pen.imageSmoothingQuality = "high";
    pen.drawImage(video, left, top, side, side, 0, 0, size, size);
  }

  /** JPEG at once: a tenth of the raw pixels' bytes for a millisecond or two; `toBlob` waits 17 for an idle page. */
  async encode() {
    const text = atob(this.canvas.toDataURL("image/jpeg", 0.9).split(",")[1]);
    const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    return { content: { type: "camera" }, buffers: [bytes.buffer] };
  }
}

function release(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/** What kept the camera from starting. @param {DOMException} error */
function inWords(error) {
  const words = {
    NotAllowedError:
      "The camera was not allowed. Allow it for this page beside the browser's address, then start it again.",
    SecurityError: "The browser does not let this page use a camera.",
    NotFoundError: "This computer has no camera, or it is switched off.",
    OverconstrainedError: "No camera gives the pictures that are wanted.",
    NotReadableError: "The camera does not start. Perhaps another program is using it.",
    AbortError: "The camera does not start. Perhaps another program is using it.",
  };
  return words[error.name] ?? `The camera does not start: ${error.message || error.name}`;
}
