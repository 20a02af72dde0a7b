import { html } from "./html.js";

/** @param {{label?: string}} props */
export function TypingIndicator({ label = "Waiting for the first words" }) {
  return html`<span class="typing" role="img" aria-label=${label}><i /><i /><i /></span>`;
}
