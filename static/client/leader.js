import { follow } from "./follow.js";
import { Ladder } from "./ladder.js";

/** @import { LogEvent } from "./types.js" */
/** @import { ReadingState, Way } from "./follow.js" */

// A browser opens six connections to one server at the most (HTTP/1.1), and questions need some of them.
const LIVE = 3;

/**
 * What a leader says to all tabs.
 * @typedef {{kind: "events", session: string, after: string, events: LogEvent[]}
 *   | {kind: "reset", session: string}
 *   | {kind: "at", session: string, cursor: string | null, state: ReadingState | null}
 *   | {kind: "who"}} Announcement
 *
 * @typedef {object} Log one session's log, being read for some tabs
 * @property {Set<string>} tabs
 * @property {string | null} cursor
 * @property {ReadingState | null} state
 * @property {boolean} sparing without holding a connection open
 * @property {AbortController} reading
 */

/** Reads the logs that the tabs of this browser want, and announces what comes. */
export class Leader {
  /**
   * @param {object} options
   * @param {(announcement: Announcement) => void} options.announce
   * @param {() => Way | null} options.choice
   * @param {EventTarget} options.alarm
   * @param {Ladder} options.ladder
   * @param {typeof follow} [options.read]
   */
  constructor({ announce, choice, alarm, ladder, read = follow }) {
    this.announce = announce;
    this.choice = choice;
    this.alarm = alarm;
    this.ladder = ladder;
    this.read = read;
    /** @type {Map<string, Log>} the most recently wanted one last */
    this.logs = new Map();
  }

  /**
   * @param {string} tab
   * @param {string} session
   * @param {string} cursor where the tab is
   */
  want(tab, session, cursor) {
    const log = this.logs.get(session) ?? idle(cursor);
    if (log.state?.phase === "gone") Object.assign(log, idle(cursor), { tabs: log.tabs });
    log.tabs.add(tab);
    this.logs.delete(session);
    this.logs.set(session, log);
    this.balance();
    this.announce({ kind: "at", session, cursor: log.cursor, state: log.state });
  }

  /**
   * @param {string} tab
   * @param {string} session
   */
  unwant(tab, session) {
    const log = this.logs.get(session);
    if (!log?.tabs.delete(tab) || log.tabs.size) return;
    log.reading.abort();
    this.logs.delete(session);
    this.balance();
  }

  /** @param {Set<string>} tabs those that are still there */
  keepOnly(tabs) {
    for (const [session, log] of [...this.logs]) {
      for (const tab of [...log.tabs]) if (!tabs.has(tab)) this.unwant(tab, session);
    }
  }

  /** Begin every reading anew, for example in another way. */
  restart() {
    for (const log of this.logs.values()) log.reading.abort();
    this.balance();
  }

  stop() {
    for (const log of this.logs.values()) log.reading.abort();
    this.logs.clear();
  }

  /** The most recently wanted logs are read live, the others by asking now and then. */
  balance() {
    const recent = [...this.logs].reverse();
    for (const [place, [session, log]] of recent.entries()) {
      const sparing = place >= LIVE;
      if (log.sparing === sparing && !log.reading.signal.aborted) continue;
      log.reading.abort();
      log.sparing = sparing;
      this.start(session, log);
    }
  }

  /**
   * @param {string} session
   * @param {Log} log
   */
  start(session, log) {
    log.reading = new AbortController();
    this.read({
      session,
      cursor: log.cursor,
      signal: log.reading.signal,
      ladder: this.ladder,
      choice: log.sparing ? "sparing" : this.choice(),
      alarm: this.alarm,
      onReset: () => this.announce({ kind: "reset", session }),
      onState: (state) => this.tell(session, log, state),
      onEvents: (after, events) => {
        log.cursor = events[events.length - 1].id;
        this.announce({ kind: "events", session, after, events });
      },
    });
  }

  /**
   * @param {string} session
   * @param {Log} log
   * @param {ReadingState} state
   */
  tell(session, log, state) {
    const same = log.state && log.state.phase === state.phase && log.state.way === state.way;
    log.state = state;
    if (!same || state.phase === "waiting") this.announce({ kind: "at", session, cursor: log.cursor, state });
  }
}

/**
 * @param {string} cursor
 * @returns {Log}
 */
function idle(cursor) {
  const reading = new AbortController();
  reading.abort();
  return { tabs: new Set(), cursor, state: null, sparing: false, reading };
}
