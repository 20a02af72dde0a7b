import { eventPage } from "../api.js";
import { ProblemError } from "../errors.js";
import { sleep } from "../timing.js";

/** @import { LogEvent, Place } from "../types.js" */

const WAIT = 20; // seconds the server may take when there is nothing new

/**
 * Ask, take what there is, ask again. The first answer comes at once, so that it shows whether anything gets through.
 * @param {Place} place
 * @param {AbortSignal} signal
 * @param {{wait?: number, pause?: number}} [options] a `wait` of 0 with a `pause` (ms) holds no connection open
 * @returns {AsyncGenerator<LogEvent[]>}
 */
export async function* readLongPoll({ session, after }, signal, { wait = WAIT, pause = 0 } = {}) {
  let patience = 0;
  while (true) {
    const page = await pageAfter(session, after, patience, signal);
    patience = wait;
    after = page.cursor;
    yield page.events;
    if (pause) await sleep(pause, signal);
    signal.throwIfAborted();
  }
}

/**
 * A refused cursor is told by an event, as the streams tell it.
 * @param {string} session
 * @param {string | null} after
 * @param {number} wait
 * @param {AbortSignal} signal
 */
async function pageAfter(session, after, wait, signal) {
  try {
    return await eventPage(session, after, wait, signal);
  } catch (error) {
    if (!(error instanceof ProblemError) || error.code !== "cursor_reset") throw error;
    const { cursor, reason } = /** @type {any} */ (error.problem);
    return { events: [{ type: "reset", id: cursor, cursor, reason }], cursor };
  }
}
