import { BranchArrows } from "./branch-arrows.js";
import { focusComposer } from "./composer-focus.js";
import { CopyButton } from "./copy-button.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";

/** @import { SessionStore } from "../hooks/session-store.js" */
/** @import { Spoken } from "../client/conversation.js" */

/**
 * @param {SessionStore} session
 * @param {Spoken} message which goes out of view, and what had the focus with it
 */
export function answerAgain(session, message) {
  session.asking.regenerate(message.id);
  focusComposer();
}

/** @param {{session: SessionStore, message: Spoken}} props */
export function AnswerFooter({ session, message }) {
  return html`<footer class="actions">
    <${BranchArrows} session=${session} message=${message} />
    <${CopyButton} text=${message.content} label="Copy the answer" />
    ${!session.deleted.value &&
    html`<button type="button" class="quiet icon-only" onClick=${() => answerAgain(session, message)}
      aria-label="Answer again" title="Answer again"><${Icon} name="again" /></button>`}
    <span class="facts">${factsOf(message).map((fact) => html`<span key=${fact}>${fact}</span>`)}</span>
  </footer>`;
}

/** @param {Spoken} message */
function factsOf({ provider, model, usage, timings }) {
  const facts = [provider === model ? model : `${provider} · ${model}`];
  if (usage) facts.push(`${usage.source === "estimated" ? "about " : ""}${tokens(usage.output_tokens)}`);
  if (timings?.first_token_ms != null) facts.push(`first after ${seconds(timings.first_token_ms)}`);
  const writing = timings ? timings.total_ms - (timings.first_token_ms ?? 0) : 0;
  if (usage && writing > 0) facts.push(`${rate(usage.output_tokens / (writing / 1_000))} tokens/s`);
  return facts;
}

/** @param {number} number */
const tokens = (number) => `${number.toLocaleString()} ${number === 1 ? "token" : "tokens"}`;

/** @param {number} milliseconds */
const seconds = (milliseconds) =>
  milliseconds < 1_000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1_000).toFixed(1)} s`;

/** @param {number} number */
const rate = (number) => (number < 10 ? number.toFixed(1) : Math.round(number).toLocaleString());
