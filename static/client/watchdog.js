import { Cut } from "./errors.js";

const READY_WITHIN = 3_000;
const HEARTBEATS_MISSED = 2.5;

/** @import { LogEvent } from "./types.js" */

/** Notices a stream that does not begin, or that has gone silent without ending. */
export class Watchdog {
  /** @param {(error: Cut) => void} bark */
  constructor(bark, readyWithin = READY_WITHIN) {
    this.bark = bark;
    this.patience = 0;
    this.timer = setTimeout(() => bark(new Cut("held back")), readyWithin);
  }

  /**
   * Something arrived: an event, or null for a heartbeat.
   * @param {LogEvent | null} event
   */
  feed(event) {
    if (event?.type === "ready") this.patience = event.heartbeat * 1_000 * HEARTBEATS_MISSED;
    if (!this.patience) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.bark(new Cut("silent")), this.patience);
  }

  stop() {
    clearTimeout(this.timer);
  }
}
