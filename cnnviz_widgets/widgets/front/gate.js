/** Something that changes often, sent one at a time. */

const ANSWER_WITHIN = 10_000; // Milliseconds after which an answer counts as lost.

let ticket = 0; // Of all gates: an answer names the ticket that it is for.

/**
 * Sends the newest state of something, and the next one only after the last was answered. What changes in between is
 * not queued: when the answer comes, the state is sent as it is by then.
 */
export class Gate {
  /**
   * @param {() => Promise<{ content: object, buffers: ArrayBuffer[] } | null>} make the message of the present state
   * @param {(content: object, buffers: ArrayBuffer[]) => void} send
   */
  constructor(make, send) {
    this.make = make;
    this.send = send;
    this.waiting = 0; // The ticket that is not answered yet.
    this.wished = false;
    this.timer = 0;
  }

  /** There is something new. */
  wish() {
    this.wished = true;
    if (!this.waiting) this.next();
  }

  /** @returns {boolean} whether the answer was for this gate */
  answer(number) {
    if (!this.waiting || number !== this.waiting) return false;
    clearTimeout(this.timer);
    this.waiting = 0;
    if (this.wished) this.next();
    return true;
  }

  /** Forget what waits, also what is being made. */
  close() {
    clearTimeout(this.timer);
    this.waiting = 0;
    this.wished = false;
  }

  async next() {
    const number = ++ticket;
    this.waiting = number;
    this.wished = false;
    this.timer = setTimeout(() => this.answer(number), ANSWER_WITHIN);
    const message = await this.make();
    if (this.waiting !== number) return; // Closed, or given up, while it was made.
    if (message) this.send({ ...message.content, number }, message.buffers);
    else this.answer(number);
  }
}
