import { eventsUrl } from "../api.js";
import { Cut } from "../errors.js";
import { Queue } from "../queue.js";
import { Watchdog } from "../watchdog.js";

/** @import { LogEvent, Place } from "../types.js" */

// An EventSource delivers named events only to listeners of that name.
const TYPES = [
  "ready", "posted", "start", "thinking", "chunk", "sources", "retrying", "complete", "session", "reset",
];

/**
 * Server-Sent Events. The browser's own reconnecting is not used: it stays dead after any answer but 200.
 * @param {Place} place
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<LogEvent[]>}
 */
export async function* readSse({ session, after }, signal) {
  /** @type {Queue<LogEvent>} */
  const queue = new Queue();
  const watchdog = new Watchdog((cut) => queue.fail(cut));
  const source = new EventSource(eventsUrl(session, after, { format: "sse", heartbeat: "event" }));
  listen(source, queue, watchdog);
  const stop = () => queue.fail(signal.reason);
  signal.addEventListener("abort", stop);
  try {
    yield* queue.batches();
  } finally {
    signal.removeEventListener("abort", stop);
    watchdog.stop();
    source.close();
  }
}

/**
 * @param {EventSource} source
 * @param {Queue<LogEvent>} queue
 * @param {Watchdog} watchdog
 */
function listen(source, queue, watchdog) {
  const take = (/** @type {MessageEvent} */ message) => {
    const event = JSON.parse(message.data);
    watchdog.feed(event);
    queue.push(event);
  };
  for (const type of TYPES) source.addEventListener(type, take);
  source.addEventListener("ping", () => watchdog.feed(null));
  source.addEventListener("error", (event) => {
    // The browser gives trouble with the connection the same name as the log's own `error`; only that has data.
    if ("data" in event && event.data) take(/** @type {MessageEvent} */ (event));
    else queue.fail(new Cut("ended"));
  });
}
