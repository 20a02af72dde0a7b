/**
 * Turns callbacks into an async iteration: `push` on one side, `for await` on the other.
 * What is pushed between two turns comes as one batch.
 * @template T
 */
export class Queue {
  constructor() {
    /** @type {T[]} */
    this.waiting = [];
    /** @type {unknown} */
    this.failure = null;
    this.wake = () => {};
  }

  /** @param {...T} items */
  push(...items) {
    this.waiting.push(...items);
    this.wake();
  }

  /**
   * End the iteration with an error, behind what was pushed.
   * @param {unknown} error
   */
  fail(error) {
    this.failure ??= error;
    this.wake();
  }

  /** @returns {AsyncGenerator<T[]>} */
  async *batches() {
    while (true) {
      if (this.waiting.length) yield this.waiting.splice(0);
      else if (this.failure) throw this.failure;
      else await new Promise((resolve) => (this.wake = () => resolve(undefined)));
    }
  }
}
