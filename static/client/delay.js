/** @import { LogEvent } from "./types.js" */

const HELD_BACK = 2_500; // milliseconds

/**
 * Tells whether live events come late, by the server's stamps on them.
 *
 * The two clocks may differ, so what counts is how much later than the quickest event another one came.
 */
export class DelayMeter {
  constructor(clock = Date.now) {
    this.clock = clock;
    this.opened = Infinity;
    this.least = Infinity;
  }

  /**
   * Whether this event was held back on its way.
   * @param {LogEvent} event
   */
  heldBack(event) {
    const stamp = Date.parse(event.server_time ?? event.timestamp ?? "");
    if (Number.isNaN(stamp)) return false;
    if (event.type === "ready") this.opened = stamp;
    if (stamp < this.opened) return false; // history, not news
    const lag = this.clock() - stamp;
    this.least = Math.min(this.least, lag);
    return lag - this.least > HELD_BACK;
  }
}
