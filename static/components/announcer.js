import { signal } from "@preact/signals";
import { html } from "./html.js";

const KEPT = 3;
const TOGETHER = 100; // milliseconds: what comes within them is one announcement, or some would never be in the page
const said = signal(/** @type {{id: number, text: string}[]} */ ([]));
/** @type {string[]} */
let waiting = [];
let count = 0;

/**
 * Have screen readers say something when they come to it.
 * @param {string} text
 */
export function announce(text) {
  if (!text.trim()) return;
  if (!waiting.length) setTimeout(say, TOGETHER);
  waiting.push(text.trim());
}

function say() {
  said.value = [...said.value, { id: ++count, text: waiting.join(" ") }].slice(-KEPT);
  waiting = [];
}

/** Reads texts that grow, sentence by sentence: nobody wants to hear tokens. */
export class SentenceReader {
  constructor(say = announce) {
    this.say = say;
    this.said = 0; // characters of the text that grows
  }

  /**
   * @param {string} text from its beginning
   * @param {boolean} isWhole a paragraph or a heading ends without a full stop
   */
  read(text, isWhole) {
    const end = isWhole ? text.length : endOfSentence(text);
    if (end > this.said) this.say(text.slice(this.said, end));
    this.said = isWhole ? 0 : Math.max(this.said, end);
  }
}

/** @param {string} text */
function endOfSentence(text) {
  const ends = [...text.matchAll(/[.!?…。！？]["”’)\]]*\s/g)];
  const last = ends.at(-1);
  return last ? last.index + last[0].length : 0;
}

export function Announcer() {
  return html`<div class="unseen" role="log" aria-live="polite" aria-label="Announcements">
    ${said.value.map(({ id, text }) => html`<p key=${id}>${text}</p>`)}
  </div>`;
}
