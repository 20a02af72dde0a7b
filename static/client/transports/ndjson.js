import { eventsUrl } from "../api.js";
import { Cut, ProblemError, Unreachable } from "../errors.js";
import { problemOf } from "../http.js";
import { Watchdog } from "../watchdog.js";

/** @import { LogEvent, Place } from "../types.js" */

/**
 * One JSON object a line, by fetch.
 * @param {Place} place
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<LogEvent[]>}
 */
export async function* readNdjson({ session, after }, signal) {
  const controller = new AbortController();
  const watchdog = new Watchdog((cut) => controller.abort(cut));
  const stop = () => controller.abort(signal.reason);
  signal.addEventListener("abort", stop);
  try {
    const url = eventsUrl(session, after, { format: "ndjson" });
    for await (const lines of linesOf(await open(url, controller.signal))) {
      const events = lines.filter(Boolean).map((line) => JSON.parse(line));
      for (const event of events.length ? events : [null]) watchdog.feed(event);
      yield events;
    }
    throw new Cut("ended");
  } catch (error) {
    throw controller.signal.aborted ? controller.signal.reason : error;
  } finally {
    signal.removeEventListener("abort", stop);
    watchdog.stop();
    controller.abort();
  }
}

/**
 * @param {string} url
 * @param {AbortSignal} signal
 */
async function open(url, signal) {
  const response = await fetch(url, { signal }).catch(() => {
    throw new Unreachable();
  });
  if (!response.ok) throw new ProblemError(await problemOf(response));
  if (!response.body) throw new Cut("refused");
  return response.body;
}

/**
 * Whole lines, as many at a time as arrived together.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<string[]>}
 */
async function* linesOf(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  while (true) {
    const { done, value } = await reader.read().catch(() => {
      throw new Cut("ended");
    });
    if (done) return;
    const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = /** @type {string} */ (lines.pop());
    if (lines.length) yield lines;
  }
}
