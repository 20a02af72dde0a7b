import { html } from "./html.js";
import { PassingButton } from "./passing-button.js";

/** @import { SessionStore } from "../hooks/session-store.js" */

const SUGGESTIONS = [
  "Explain how a hash table works, with a small example in Python.",
  "Compare three ways to cache HTTP responses in a table.",
  "Write a friendly message that moves a meeting to Friday.",
];

/** @param {{session: SessionStore}} props */
export function Welcome({ session }) {
  return html`<section class="welcome">
    <h2>What would you like to know?</h2>
    <p>Answers go on when you close this page, and wait for you when you come back.</p>
    <ul>
      ${SUGGESTIONS.map(
        (text) => html`<li key=${text}>
          <${PassingButton} onClick=${() => session.send(text)}>${text}<//>
        </li>`,
      )}
    </ul>
  </section>`;
}
