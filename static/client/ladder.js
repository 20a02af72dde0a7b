/** @typedef {"sse" | "ndjson" | "poll"} Rung */
/** @typedef {Pick<Storage, "getItem" | "setItem" | "removeItem">} Keeping a Storage, or a Keeper */

/** @type {Rung[]} */
export const RUNGS = ["sse", "ndjson", "poll"];

const FAILURES = 5;
const REMEMBERED = 600_000; // milliseconds
const KEY = "xionimus:ladder";

/** Which way of reading works on this network; what was found is remembered for ten minutes. */
export class Ladder {
  /** @param {{storage?: Keeping, clock?: () => number}} [options] */
  constructor({ storage, clock = Date.now } = {}) {
    this.storage = storage;
    this.clock = clock;
    this.failures = 0;
    const { rung, until } = JSON.parse(this.storage?.getItem(KEY) ?? "{}");
    this.found = { rung, until };
  }

  /** @returns {Rung} */
  get rung() {
    const { rung, until } = this.found;
    return RUNGS.includes(rung) && until > this.clock() ? rung : "sse";
  }

  /** The rung did not work, although the server could be reached: five in a row, and the next one is tried. */
  failed() {
    this.failures += 1;
    if (this.failures >= FAILURES) this.down();
  }

  /** Something on the way holds data back: no need to see it five times. */
  down() {
    this.failures = 0;
    const rung = RUNGS[Math.min(RUNGS.indexOf(this.rung) + 1, RUNGS.length - 1)];
    this.found = { rung, until: this.clock() + REMEMBERED };
    this.storage?.setItem(KEY, JSON.stringify(this.found));
  }

  worked() {
    this.failures = 0;
  }

  /** Another network: begin at the top again. */
  forget() {
    this.failures = 0;
    this.found = { rung: "sse", until: 0 };
    this.storage?.removeItem(KEY);
  }
}
