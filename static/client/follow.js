import { eventPage, history } from "./api.js";
import { DelayMeter } from "./delay.js";
import { Cut, ProblemError, isNotFound, isPassing } from "./errors.js";
import { Ladder } from "./ladder.js";
import { probe, verdict } from "./probe.js";
import { Backoff, sleep } from "./timing.js";
import { readLongPoll } from "./transports/long-poll.js";
import { readNdjson } from "./transports/ndjson.js";
import { readSse } from "./transports/sse.js";
import { readWebSocket } from "./transports/websocket.js";

/** @import { LogEvent, Transport } from "./types.js" */

/** @typedef {import("./ladder.js").Rung | "websocket" | "sparing"} Way */

const ANSWERS_WITHIN = 5_000; // milliseconds
const LASTING = 2_000; // milliseconds after which a connection counts as one that worked

/**
 * @typedef {object} ReadingState
 * @property {"connecting" | "live" | "waiting" | "gone"} phase
 * @property {Way} way
 * @property {number} [retryIn] milliseconds, while waiting
 * @property {boolean} [heldBack] why it is not SSE
 * @property {string} [refused] the code of the server's reason, while it lets nobody read
 */

/**
 * @typedef {object} FollowOptions
 * @property {string} session
 * @property {string | null} cursor
 * @property {(after: string, events: LogEvent[]) => void} onEvents `events` come directly after the cursor `after`
 * @property {() => void} onReset the log does not continue at the cursor: read the history again
 * @property {(state: ReadingState) => void} [onState]
 * @property {AbortSignal} signal
 * @property {Ladder} [ladder]
 * @property {Way | null} [choice] a way instead of the ladder's
 * @property {Backoff} [backoff]
 * @property {EventTarget} [alarm] its `wake` events end a wait early
 */

/** @type {Record<Way, Transport>} */
export const TRANSPORTS = {
  sse: readSse,
  ndjson: readNdjson,
  poll: readLongPoll,
  websocket: readWebSocket,
  sparing: (place, signal) => readLongPoll(place, signal, { wait: 0, pause: 1_000 }),
};

/**
 * Read a session's log from a cursor, for as long as the session exists: each event once, in order, over whatever
 * way works, coming back with the cursor whenever a connection ends.
 * @param {FollowOptions} options
 */
export async function follow(options) {
  const reading = new Reading(options);
  while (!options.signal.aborted && !reading.gone) await reading.once();
}

class Reading {
  /** @param {FollowOptions} options */
  constructor(options) {
    this.options = options;
    this.ladder = options.ladder ?? new Ladder();
    this.backoff = options.backoff ?? new Backoff();
    this.cursor = options.cursor;
    this.gone = false;
    this.suspecting = false;
    /** @type {string | undefined} */
    this.refused = undefined;
    this.connection = new AbortController();
    this.liveSince = Infinity;
  }

  /** @returns {Way} */
  get way() {
    return this.options.choice ?? this.ladder.rung;
  }

  /** One connection, from its start to its end. */
  async once() {
    const { session, signal } = this.options;
    const delay = new DelayMeter();
    this.liveSince = Infinity;
    this.connection = new AbortController();
    this.tell("connecting");
    try {
      const ending = AbortSignal.any([signal, this.connection.signal]);
      for await (const batch of TRANSPORTS[this.way]({ session, after: this.cursor }, ending)) {
        await this.take(batch, delay);
        if (this.gone) return;
      }
    } catch (error) {
      if (!signal.aborted) await this.recover(error);
    }
  }

  /**
   * @param {LogEvent[]} batch
   * @param {DelayMeter} delay
   */
  async take(batch, delay) {
    this.liveSince = Math.min(this.liveSince, performance.now());
    this.refused = undefined;
    this.tell("live");
    if (batch.some((event) => event.type === "reset")) await this.startOver();
    this.deliver(batch);
    if (this.lasted()) this.settle();
    if (batch.some((event) => delay.heldBack(event))) this.suspect();
  }

  /** Something came late. A laptop that slept looks the same as a proxy that holds back, so ask the probe. */
  async suspect() {
    const { connection, way } = this;
    if (this.suspecting || this.options.choice || way === "poll") return;
    this.suspecting = true;
    const found = await probe(way === "sse" ? "sse" : "ndjson", this.options.signal).then(verdict, () => null);
    this.suspecting = false;
    if (found !== "held back") return;
    this.ladder.down();
    connection.abort(new Cut("refused"));
  }

  lasted() {
    return performance.now() - this.liveSince > LASTING;
  }

  settle() {
    this.backoff.reset();
    this.ladder.worked();
  }

  /** @param {LogEvent[]} batch */
  deliver(batch) {
    const ready = batch.find((event) => event.type === "ready");
    if (ready) this.cursor = ready.cursor;
    const events = batch.filter((event) => event !== ready && event.id && event.id !== this.cursor);
    const after = this.cursor;
    if (!events.length || after === null) return;
    this.cursor = events[events.length - 1].id;
    this.options.onEvents(after, events);
    if (events.some((event) => event.type === "session" && event.deleted)) this.end();
  }

  /** The log was cut off behind this reader, or begun anew: go on from where the history ends now. */
  async startOver() {
    this.cursor = (await history(this.options.session, { limit: 1 })).cursor;
    this.options.onReset();
    throw new Cut("refused");
  }

  /** @param {unknown} error */
  async recover(error) {
    if (error instanceof Cut && error.reason === "refused") return;
    if (isNotFound(error)) return this.end();
    this.tell("connecting");
    const reachable = await this.serverAnswers();
    if (this.gone) return;
    if (reachable && error instanceof Cut && error.reason === "held back") return this.ladder.down();
    if (reachable && this.lasted()) return; // an ordinary end: come back at once
    if (reachable) this.ladder.failed();
    await this.wait();
  }

  /**
   * Ask in the plainest way there is: an EventSource does not say why it failed, and a server that cannot be
   * reached at all says nothing against the way of reading.
   */
  async serverAnswers() {
    try {
      const patience = AbortSignal.any([this.options.signal, AbortSignal.timeout(ANSWERS_WITHIN)]);
      const page = await eventPage(this.options.session, this.cursor, 0, patience);
      if (this.cursor !== null) this.deliver(page.events);
      this.cursor = page.cursor;
      return true;
    } catch (error) {
      if (isNotFound(error)) this.end();
      this.refused = error instanceof ProblemError && !isPassing(error) ? error.code : undefined;
      return error instanceof ProblemError && error.code === "cursor_reset";
    }
  }

  async wait() {
    const { alarm, signal } = this.options;
    const early = new AbortController();
    const wake = () => early.abort();
    alarm?.addEventListener("wake", wake, { once: true });
    const pause = this.backoff.next();
    this.tell("waiting", pause);
    await sleep(pause, AbortSignal.any([signal, early.signal]));
    alarm?.removeEventListener("wake", wake);
  }

  end() {
    this.gone = true;
    this.tell("gone");
  }

  /**
   * @param {ReadingState["phase"]} phase
   * @param {number} [retryIn]
   */
  tell(phase, retryIn) {
    const heldBack = !this.options.choice && this.ladder.rung !== "sse";
    this.options.onState?.({ phase, way: this.way, retryIn, heldBack, refused: this.refused });
  }
}
