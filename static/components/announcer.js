import { signal } from "@preact/signals";
import { html } from "./html.js";

const KEPT = 3;
const sentences = signal(/** @type {{id: number, text: string}[]} */ ([]));
let count = 0;

/**
 * Have screen readers say something when they come to it.
 * @param {string} text
 */
export function announce(text) {
  if (text.trim()) sentences.value = [...sentences.value, { id: ++count, text: text.trim() }].slice(-KEPT);
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
    ${sentences.value.map(({ id, text }) => html`<p key=${id}>${text}</p>`)}
  </div>`;
}
