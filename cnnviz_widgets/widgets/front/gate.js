/** Something that changes often, sent no faster than it is worked off. */

const ANSWER_WITHIN = 10_000; // Milliseconds after which an answer counts as lost.

let ticket = 0; // Of all gates: an answer names the ticket that it is for.

/**
 * Sends the newest state of something while fewer than `ahead` messages are without an answer. What changes meanwhile is
 * not queued: when an answer comes, the state is sent as it is by then. With one ahead nothing is ever sent in vain;
 * with more, the way there and back costs no time.
 */
export class Gate {
  /**
   * @param {() => Promise<{ content: object, buffers: ArrayBuffer[] } | null>} make the message of the present state
   * @param {(content: object, buffers: ArrayBuffer[]) => void} send
   * @param {() => number} ahead
   */
  constructor(make, send, ahead = () => 1) {
    this.make = make;
    this.send = send;
    this.ahead = ahead;
    /** @type {Map<number, number>} the timers of the tickets that are not answered yet */ this.waiting = new Map();
    this.wished = false;
  }

  /** There is something new. */
  wish() {
    this.wished = true;
    this.next();
  }

  /** @returns {boolean} whether one of the answers was for this gate */
  answer(numbers) {
    const own = numbers.filter((number) => this.waiting.has(number));
    for (const number of own) {
      clearTimeout(this.waiting.get(number));
      this.waiting.delete(number);
    }
    this.next();
    return own.length > 0;
  }

  /** Forget what waits, also what is being made. */
  close() {
    for (const timer of this.waiting.values()) clearTimeout(timer);
    this.waiting.clear();
    this.wished = false;
  }

  async next() {
    if (!this.wished || this.waiting.size >= this.ahead()) return;
    const number = ++ticket;
    this.wished = false;
    this.waiting.set(number, setTimeout(() => this.answer([number]), ANSWER_WITHIN));
    const message = await this.make();
    if (!this.waiting.has(number)) return; // Closed, or given up, while it was made.
    if (message) this.send({ ...message.content, number }, message.buffers);
    else this.answer([number]);
  }
}
