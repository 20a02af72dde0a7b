import { whenBusy } from "../hooks/preferences.js";
import { html } from "./html.js";

/** What a question does that is sent while an answer is being written. */
export function WhenBusy() {
  const choose = (/** @type {any} */ event) => (whenBusy.value = event.target.value);
  return html`<select class="quiet when-busy" aria-label="A question sent now" value=${whenBusy.value} onChange=${choose}>
    <option value="enqueue">Ask after this answer</option>
    <option value="interrupt">Interrupt this answer</option>
  </select>`;
}
