/**
 * Resolves after `ms`, or at once when the signal aborts.
 * @param {number} ms
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function sleep(ms, signal) {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done, { once: true });
    function done() {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    }
  });
}

/** Waits that double from 1 s to 30 s, each shortened by up to half so that clients do not return all at once. */
export class Backoff {
  /** @param {{first?: number, most?: number, random?: () => number}} [options] */
  constructor({ first = 1_000, most = 30_000, random = Math.random } = {}) {
    this.first = first;
    this.most = most;
    this.random = random;
    this.failures = 0;
  }

  /** The next wait in milliseconds. */
  next() {
    const whole = Math.min(this.most, this.first * 2 ** this.failures);
    this.failures += 1;
    return whole * (1 - this.random() / 2);
  }

  reset() {
    this.failures = 0;
  }
}
