/** @import { Problem, Question } from "./types.js" */
/** @import { Keeper } from "./keeper.js" */
/** @import { Keeping } from "./ladder.js" */

/**
 * @typedef {object} Unsent
 * @property {string} key the idempotency key: the same one for every attempt
 * @property {Question} question without API keys; those are never kept here
 * @property {"sending" | "failed"} status
 * @property {number} [at] when it was asked, in milliseconds by the clock of this machine
 * @property {string} [why] a sentence
 * @property {string} [code] of the server's reason; none if it could not be reached
 * @property {boolean} [passing] whether the same may succeed later
 */

/** Questions that the server has not confirmed yet. They survive a reload. */
export class Outbox {
  /**
   * @param {Keeping} storage
   * @param {string} session
   * @param {string} [prefix] of the name under which they are kept: one's own where people share a browser
   */
  constructor(storage, session, prefix = "xionimus:") {
    this.storage = storage;
    this.name = `${prefix}outbox:${session}`;
  }

  /**
   * The sessions with questions that the server has not confirmed.
   * @param {Keeper} storage
   * @param {string} [prefix]
   */
  static sessions(storage, prefix = "xionimus:") {
    const begins = `${prefix}outbox:`;
    return storage.keys().filter((name) => name.startsWith(begins)).map((name) => name.slice(begins.length));
  }

  /** @returns {Unsent[]} */
  all() {
    try {
      const found = JSON.parse(this.storage.getItem(this.name) ?? "[]");
      return found.filter((/** @type {Unsent} */ each) => each?.key && each.question);
    } catch {
      return []; // somebody else wrote there
    }
  }

  /** @param {Unsent} unsent new, or with another status */
  put(unsent) {
    const others = this.all();
    const place = others.findIndex((each) => each.key === unsent.key);
    others.splice(place < 0 ? others.length : place, place < 0 ? 0 : 1, unsent);
    this.keep(others);
  }

  /** @param {string} key */
  remove(key) {
    this.keep(this.all().filter((each) => each.key !== key));
  }

  /** @param {Unsent[]} all */
  keep(all) {
    if (all.length) this.storage.setItem(this.name, JSON.stringify(all));
    else this.storage.removeItem(this.name);
  }
}
