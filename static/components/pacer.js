/** @import { Speed } from "../hooks/preferences.js" */

/** Characters a second; reading aloud is about 15, reading about 25. */
const RATES = { now: Infinity, calm: 60, slow: 25 };

// Not every language has spaces between its words.
const WORDS = new Intl.Segmenter(undefined, { granularity: "word" });
const CHARACTERS = new Intl.Segmenter();
const LONGEST = 40; // characters of a word

/** Hands on the text that arrives, once a frame, at the speed at which somebody wants to read it. */
export class Pacer {
  /**
   * @param {(text: string) => void} write
   * @param {() => void} [onDone] everything that will come has been written
   */
  constructor(write, onDone = () => {}) {
    this.write = write;
    this.onDone = onDone;
    /** @type {Speed} */
    this.speed = "now";
    this.held = false;
    this.waiting = "";
    this.finished = false;
    this.allowance = 0;
    this.frame = 0;
    this.lastFrame = 0;
  }

  /** @param {string} text */
  push(text) {
    this.waiting += text;
    this.schedule();
  }

  /** Nothing comes any more; what waits is still shown at its speed. */
  finish() {
    this.finished = true;
    this.schedule();
  }

  /**
   * @param {Speed} speed
   * @param {boolean} held nothing is shown at all
   */
  set(speed, held) {
    this.speed = speed;
    this.held = held;
    this.schedule();
  }

  /** Everything that waits, at once. */
  catchUp() {
    this.emit(this.waiting.length);
  }

  stop() {
    cancelAnimationFrame(this.frame);
    this.frame = -1;
  }

  schedule() {
    if (this.frame || (this.held && this.waiting)) return;
    this.lastFrame = performance.now();
    this.frame = requestAnimationFrame((now) => this.tick(now));
  }

  /** @param {number} now */
  tick(now) {
    this.frame = 0;
    if (this.held && this.waiting) return;
    this.allowance += (RATES[this.speed] * Math.max(0, now - this.lastFrame)) / 1_000;
    if (this.speed === "now") this.allowance = Infinity;
    this.emit(wholeWords(this.waiting, this.allowance));
    if (this.waiting) this.schedule();
  }

  /** @param {number} length */
  emit(length) {
    const text = this.waiting.slice(0, length);
    this.waiting = this.waiting.slice(length);
    this.allowance = Math.max(0, this.speed === "now" ? 0 : this.allowance - length);
    if (text) this.write(text);
    if (this.finished && !this.waiting) this.onDone();
  }
}

/**
 * How much of the text may be shown, without cutting a word; one that is very long is cut between its characters.
 * @param {string} text
 * @param {number} allowance
 */
function wholeWords(text, allowance) {
  if (allowance >= text.length) return text.length;
  return startAt(WORDS, text, allowance) || (allowance < LONGEST ? 0 : startAt(CHARACTERS, text, allowance));
}

/**
 * Where the word or character begins that stands at a place.
 * @param {Intl.Segmenter} segmenter
 * @param {string} text
 * @param {number} place
 */
function startAt(segmenter, text, place) {
  return segmenter.segment(text.slice(0, place + LONGEST)).containing(place)?.index ?? 0;
}
