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

/** Collects text until a sentence is whole: nobody wants to hear tokens. */
export class SentenceReader {
  constructor(say = announce) {
    this.say = say;
    this.text = "";
  }

  /**
   * @param {string} text
   * @param {boolean} endsBlock a paragraph or a heading ends without a full stop
   */
  take(text, endsBlock) {
    this.text += text;
    const end = endsBlock ? this.text.length : endOfSentence(this.text);
    if (!end) return;
    this.say(this.text.slice(0, end));
    this.text = this.text.slice(end);
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
