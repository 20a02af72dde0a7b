import { AnswerFooter, answerAgain } from "./answer-footer.js";
import { AnswerText } from "./answer-text.js";
import { focusComposer } from "./composer-focus.js";
import { html } from "./html.js";
import { PassingButton } from "./passing-button.js";
import { Remedy } from "./remedy.js";
import { Sources } from "./sources.js";
import { Thinking } from "./thinking.js";
import { TypingIndicator } from "./typing-indicator.js";

/** @import { SessionStore } from "../hooks/session-store.js" */
/** @import { Retrying, Spoken } from "../client/conversation.js" */

/** @param {{session: SessionStore, message: Spoken}} props */
export function Answer({ session, message }) {
  session.revision(message.id).value;
  const isLive = message.status === "streaming";
  return html`<article class="answer" aria-label="Answer" aria-busy=${isLive} data-message=${message.id}>
    ${message.thinking && html`<${Thinking} session=${session} message=${message} />`}
    ${message.sources.length > 0 && html`<${Sources} sources=${message.sources} />`}
    <${AnswerText} session=${session} message=${message} />
    ${isLive && html`<${Waiting} session=${session} message=${message} />`}
    ${!isLive && html`<${Ending} session=${session} message=${message} />`}
    ${!isLive && html`<${AnswerFooter} session=${session} message=${message} />`}
  </article>`;
}

/**
 * What stands where the text will begin; it goes by itself when there is some (see message.css).
 * @param {{session: SessionStore, message: Spoken}} props
 */
function Waiting({ session, message }) {
  session.revision(message.id).value; // whoever reads a signal is not rendered with the parent
  if (message.retrying) return html`<p class="note" role="status">${retryOf(message, message.retrying)}</p>`;
  const isQueued = session.active.value.indexOf(message) > 0;
  if (isQueued) {
    return html`<p class="note waiting">Waiting for the answer before this one
      <${PassingButton} class="quiet" onClick=${() => session.stop([message])}>Do not answer<//></p>`;
  }
  return html`<p class="waiting"><${TypingIndicator} /></p>`;
}

/**
 * @param {Spoken} message
 * @param {Retrying} retrying
 */
function retryOf({ provider, model }, { attempt, title, elsewhere }) {
  if (elsewhere) return `${title}. Asking ${provider} · ${model} …`;
  return `${title}. Trying again (attempt ${attempt + 1}) …`;
}

/**
 * How it ended, if not well, and what can be done about it.
 * @param {{session: SessionStore, message: Spoken}} props
 */
function Ending({ session, message }) {
  const { status, finish_reason, content, error } = message;
  const isWell = status === "completed" && content && !REASONS.has(finish_reason ?? "");
  if (isWell) return null;
  const goOn = () => {
    session.goOn(message);
    focusComposer();
  };
  return html`<div class=${error ? "ending failed" : "ending"} role=${error ? "alert" : undefined}>
    <p>${accountOf(message)}</p>
    ${!session.deleted.value &&
    html`<div class="buttons">
      <${Remedy} code=${error?.code} session=${session.id} />
      ${content &&
      html`<button type="button" onClick=${goOn}>Continue</button>`}
      <button type="button" onClick=${() => answerAgain(session, message)}>Try again</button>
    </div>`}
  </div>`;
}

/** Why a provider may end an answer that is not whole. */
const REASONS = new Map([
  ["length", "This answer reached its limit of tokens."],
  ["content_filter", "The provider ended this answer for what it is about. Ask in another way, or in a new chat."],
]);

/** @param {Spoken} message */
function accountOf({ status, finish_reason, error, content }) {
  if (status === "cancelled") return content ? "You stopped this answer here." : "You stopped this answer.";
  if (status === "interrupted") return "This answer was cut short: the server stopped while it was being written.";
  if (error) return error.detail || error.title;
  return REASONS.get(finish_reason ?? "") ?? "The model answered with nothing. The chat may be too long for it.";
}
