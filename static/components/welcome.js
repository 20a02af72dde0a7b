import { computed } from "@preact/signals";
import { providers } from "../hooks/app-state.js";
import { opened } from "../hooks/opened.js";
import { keys } from "../hooks/preferences.js";
import { html } from "./html.js";
import { PassingButton } from "./passing-button.js";

/** @import { SessionStore } from "../hooks/session-store.js" */

const SUGGESTIONS = [
  "Explain how a hash table works, with a small example in Python.",
  "Compare three ways to cache HTTP responses in a table.",
  "Write a friendly message that moves a meeting to Friday.",
];

/** Whether nobody else can answer: the server has no key, and nobody has given one here. */
const isDemo = computed(() => {
  const ready = providers.value.filter((each) => each.ready || keys.value[each.id]);
  return ready.length === 1 && ready[0].id === "demo";
});

/** @param {{session: SessionStore}} props */
export function Welcome({ session }) {
  return html`<section class="welcome">
    <h2>What would you like to know?</h2>
    <p>Answers go on when you close this page, and wait for you when you come back.</p>
    ${isDemo.value &&
    html`<p>Only the demo answers so far. Give a provider’s key in the ${" "}
      <button type="button" class="link" onClick=${() => (opened.value = "settings")}>settings</button>,
      or set one on the server.</p>`}
    <ul>
      ${SUGGESTIONS.map(
        (text) => html`<li key=${text}>
          <${PassingButton} onClick=${() => session.send(text)}>${text}<//>
        </li>`,
      )}
    </ul>
  </section>`;
}
