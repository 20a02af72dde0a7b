import { useState } from "preact/hooks";
import { html } from "./html.js";
import { PassingButton } from "./passing-button.js";

const LONG = 8_000; // characters
const GLIMPSE = 2_000;

/**
 * What somebody asked; of what is very long only the beginning, until they want all of it.
 * @param {{text: string}} props
 */
export function Bubble({ text }) {
  const [isWhole, setWhole] = useState(text.length <= LONG);
  if (isWhole) return html`<div class="bubble" dir="auto">${text}</div>`;
  return html`<div class="bubble folded" dir="auto">${text.slice(0, GLIMPSE).toWellFormed()} …</div>
    <${PassingButton} class="quiet" onClick=${() => setWhole(true)}>
      Show all ${text.length.toLocaleString()} characters<//>`;
}
