/** @import { LogEvent } from "./types.js" */

const REMEMBERED = 4_000;

/** Fits batches from a shared reader onto one's own place in the log. Cursors stay opaque: they are only compared. */
export class InOrder {
  /** @param {string} cursor */
  constructor(cursor) {
    this.cursor = cursor;
    this.seen = new Set([cursor]);
  }

  /**
   * Those events of the batch that are new, or null if something between is missing.
   * @param {string} after
   * @param {LogEvent[]} events
   */
  take(after, events) {
    const place = after === this.cursor ? 0 : events.findIndex((event) => event.id === this.cursor) + 1;
    if (place === 0 && after !== this.cursor) return this.seen.has(events[events.length - 1].id) ? [] : null;
    const fresh = events.slice(place);
    for (const event of fresh) this.remember(event.id);
    return fresh;
  }

  /** @param {string} id */
  remember(id) {
    this.cursor = id;
    this.seen.add(id);
    if (this.seen.size > REMEMBERED) this.seen.delete(/** @type {string} */ (this.seen.values().next().value));
  }
}
