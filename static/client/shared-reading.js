import { eventPage } from "./api.js";
import { ProblemError } from "./errors.js";
import { newId } from "./ids.js";
import { InOrder } from "./in-order.js";
import { Ladder } from "./ladder.js";
import { Leader } from "./leader.js";
import { sleep } from "./timing.js";

/** @import { LogEvent } from "./types.js" */
/** @import { ReadingState, Way } from "./follow.js" */
/** @import { Announcement } from "./leader.js" */

const ANSWERS_WITHIN = 1_500; // milliseconds; a leader that takes longer is replaced
const CENSUS_EVERY = 5_000;

/**
 * @typedef {object} Listener
 * @property {(events: LogEvent[]) => void} onEvents in order, each once
 * @property {() => void} onReset read the history again, then join again
 * @property {(state: ReadingState) => void} onState
 *
 * @typedef {{order: InOrder, listener: Listener, catchingUp: boolean}} Joined
 */

/**
 * One reader for all tabs of a browser: the tab that holds the lock reads, the others hear from it. When it goes,
 * the next in the queue takes over at once. Where a browser has no locks (plain HTTP), every tab reads for itself.
 */
export class SharedReading {
  /**
   * @param {object} [options]
   * @param {string} [options.name] what begins the names of locks and channel: a session's id alone does not say whose
   * @param {() => Way | null} [options.choice]
   * @param {Ladder} [options.ladder]
   * @param {LockManager} [options.locks]
   * @param {BroadcastChannel | null} [options.channel]
   */
  constructor({ name = "xionimus:", choice = () => null, ladder = new Ladder(), locks = navigator.locks, channel } = {}) {
    this.tab = newId();
    this.tabLock = `${name}tab:`;
    this.leaderLock = `${name}leader`;
    this.locks = locks;
    this.channel = channel ?? (locks ? new BroadcastChannel(`${name}log`) : null);
    this.alarm = new EventTarget();
    /** @type {Map<string, Joined>} */
    this.joined = new Map();
    /** @type {Leader | null} */
    this.leader = null;
    this.lastHeard = -Infinity;
    this.makeLeader = () =>
      new Leader({ choice, ladder, alarm: this.alarm, announce: (announcement) => this.announce(announcement) });
    this.channel?.addEventListener("message", ({ data }) => this.hear(data));
    this.counting = this.locks ? setInterval(() => this.census(), CENSUS_EVERY) : undefined;
    if (this.locks) this.enlist();
    else this.lead();
  }

  /**
   * Hear what comes after `cursor` in a session's log, until the returned function is called.
   * @param {string} session
   * @param {string} cursor
   * @param {Listener} listener
   */
  join(session, cursor, listener) {
    const joined = { order: new InOrder(cursor), listener, catchingUp: false };
    this.joined.set(session, joined);
    this.want(session);
    return () => {
      if (this.joined.get(session) !== joined) return;
      this.joined.delete(session);
      this.say({ kind: "unwant", tab: this.tab, session });
    };
  }

  /** The network came back, or somebody looks again: do not wait any longer. */
  wake() {
    this.say({ kind: "wake" });
    for (const session of this.joined.keys()) this.want(session);
  }

  /** Read in another way from now on. */
  restart() {
    this.say({ kind: "restart" });
  }

  // Being led.

  /** @param {string} session */
  async want(session) {
    const asked = performance.now();
    this.say({ kind: "want", tab: this.tab, session, cursor: this.joined.get(session)?.order.cursor });
    await sleep(ANSWERS_WITHIN);
    if (this.locks && this.lastHeard < asked && this.joined.has(session)) this.enlist({ steal: true });
  }

  /** @param {any} message to the leader, who may be this tab */
  say(message) {
    this.channel?.postMessage(message);
    this.hear(message);
  }

  /** @param {any} message */
  hear(message) {
    if (message.kind === "want") return this.leader?.want(message.tab, message.session, message.cursor);
    if (message.kind === "unwant") return this.leader?.unwant(message.tab, message.session);
    if (message.kind === "restart") return this.leader?.restart();
    if (message.kind === "wake") return void this.alarm.dispatchEvent(new Event("wake"));
    this.heed(message);
  }

  /** @param {Announcement} announcement */
  heed(announcement) {
    this.lastHeard = performance.now();
    if (announcement.kind === "who") return this.joined.forEach((_, session) => this.want(session));
    const joined = this.joined.get(announcement.session);
    if (!joined) return;
    if (announcement.kind === "reset") return joined.listener.onReset();
    if (announcement.kind === "events") return this.fit(joined, announcement);
    if (announcement.state) joined.listener.onState(announcement.state);
    if (announcement.cursor && !joined.order.seen.has(announcement.cursor)) this.catchUp(joined, announcement.session);
  }

  /**
   * @param {Joined} joined
   * @param {{session: string, after: string, events: LogEvent[]}} batch
   */
  fit(joined, { session, after, events }) {
    const fresh = joined.order.take(after, events);
    if (fresh === null) this.catchUp(joined, session);
    else if (fresh.length) joined.listener.onEvents(fresh);
  }

  /**
   * Read what lies between this tab's place and the leader's.
   * @param {Joined} joined
   * @param {string} session
   */
  async catchUp(joined, session) {
    if (joined.catchingUp) return;
    joined.catchingUp = true;
    try {
      for (let more = true; more && this.joined.get(session) === joined; ) {
        const after = joined.order.cursor;
        const { events } = await eventPage(session, after, 0);
        if (events.length) this.fit(joined, { session, after, events });
        more = events.length > 0;
      }
    } catch (error) {
      // Any other trouble the leader meets too, and says so; its own cursor may well be good.
      if (error instanceof ProblemError && error.code === "cursor_reset") joined.listener.onReset();
    } finally {
      joined.catchingUp = false;
    }
  }

  // Leading.

  /** @param {LockOptions} [options] */
  async enlist(options = {}) {
    const held = { ifAvailable: true };
    this.locks.request(this.tabLock + this.tab, held, (lock) => lock && new Promise(() => {})).catch(() => {});
    try {
      await this.locks.request(this.leaderLock, options, () => this.lead());
    } catch (error) {
      if (/** @type {Error} */ (error).name !== "AbortError") return this.readAlone();
      this.leader?.stop(); // another tab took over, because this one did not answer
      this.leader = null;
      this.enlist();
    }
  }

  /** Where the browser's storage is blocked, so are its locks; asking for them again would never end. */
  readAlone() {
    clearInterval(this.counting);
    this.channel?.close();
    this.channel = null;
    if (!this.leader) this.lead();
  }

  /** Never resolves: the lock is held until the tab is gone. */
  lead() {
    this.leader = this.makeLeader();
    this.announce({ kind: "who" });
    return new Promise(() => {});
  }

  /** @param {Announcement} announcement */
  announce(announcement) {
    this.channel?.postMessage(announcement);
    this.heed(announcement);
  }

  /** A tab that died could not say that it wants nothing any more; its lock tells. */
  async census() {
    if (!this.leader) return;
    const { held = [] } = await this.locks.query();
    const names = held.map((lock) => lock.name ?? "").filter((name) => name.startsWith(this.tabLock));
    this.leader?.keepOnly(new Set(names.map((name) => name.slice(this.tabLock.length))));
  }
}
