import { Cut, ProblemError } from "../errors.js";
import { Queue } from "../queue.js";
import { Socket, socketUrl } from "../socket.js";
import { Watchdog } from "../watchdog.js";

/** @import { LogEvent, Place } from "../types.js" */

/**
 * The log on a WebSocket.
 * @param {Place} place
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<LogEvent[]>}
 */
export async function* readWebSocket({ session, after }, signal) {
  /** @type {Queue<LogEvent>} */
  const queue = new Queue();
  const watchdog = new Watchdog((cut) => queue.fail(cut));
  const socket = new Socket(socketUrl(session, after), {
    onMessage: (event) => {
      if (event.type === "ready") watchdog.stop(); // from here on, the pongs tell
      if (event.type === "error" && !event.message_id) queue.fail(new ProblemError(event.problem));
      else if (event.type !== "pong") queue.push(event);
    },
    onClose: () => queue.fail(new Cut("ended")),
  });
  const stop = () => queue.fail(signal.reason);
  signal.addEventListener("abort", stop);
  try {
    yield* queue.batches();
  } finally {
    signal.removeEventListener("abort", stop);
    watchdog.stop();
    socket.close();
  }
}
