import { html } from "./html.js";

/** @import { SessionStore } from "../hooks/session-store.js" */
/** @import { Unsent } from "../client/outbox.js" */

/**
 * A question that the server has not confirmed.
 * @param {{session: SessionStore, unsent: Unsent}} props
 */
export function UnsentQuestion({ session, unsent }) {
  const failed = unsent.status === "failed";
  return html`<article class="question unsent" aria-label="Question that has not been sent">
    <div class="bubble" dir="auto">${unsent.question.content}</div>
    ${failed
      ? html`<div class="unsent-note" role="alert">
          <span>Not sent. ${unsent.why}</span>
          <button type="button" onClick=${() => session.asking.attempt(unsent)}>Try again</button>
          <button type="button" class="quiet" onClick=${() => session.asking.forget(unsent.key)}>Discard</button>
        </div>`
      : html`<div class="unsent-note"><span>Sending …</span></div>`}
  </article>`;
}
