import { useState } from "preact/hooks";
import { offerUndo } from "../hooks/undo.js";
import { Bubble } from "./bubble.js";
import { focusComposer } from "./composer-focus.js";
import { html } from "./html.js";
import { PassingButton } from "./passing-button.js";
import { QuestionEditor, isBeingEdited } from "./question-editor.js";
import { Remedy } from "./remedy.js";

/** @import { SessionStore } from "../hooks/session-store.js" */
/** @import { Unsent } from "../client/outbox.js" */

/**
 * A question that the server has not confirmed.
 * @param {{session: SessionStore, unsent: Unsent}} props
 */
export function UnsentQuestion({ session, unsent }) {
  const [editing, setEditing] = useState(isBeingEdited(unsent.key));
  const { asking } = session;
  const { content } = unsent.question;
  if (editing) {
    const send = (/** @type {string} */ text) => {
      asking.replace(unsent, text);
      focusComposer();
    };
    const cancel = () => {
      setEditing(false);
      focusComposer();
    };
    return html`<${QuestionEditor} id=${unsent.key} text=${content} action="Send" onSend=${send} onCancel=${cancel} />`;
  }
  const discard = () => {
    asking.discard(unsent.key);
    offerUndo({ key: unsent.key, what: "Question discarded.", undo: () => asking.note(unsent) });
    focusComposer();
  };
  return html`<article class="question unsent" aria-label="Question that has not been sent">
    <${Bubble} text=${content} />
    ${unsent.status === "failed"
      ? html`<div class="unsent-note" role="alert">
          <span>Not sent. ${unsent.why} ${prospectOf(unsent)}</span>
          <span class="buttons">
            <${Remedy} code=${unsent.code} session=${session.id} />
            ${!session.deleted.value &&
            html`<${PassingButton} onClick=${() => asking.attempt(unsent)}>Try again<//>
              <button type="button" onClick=${() => setEditing(true)}>Edit</button>`}
            <button type="button" class="quiet" onClick=${discard}>Discard</button>
          </span>
        </div>`
      : html`<div class="unsent-note"><span>Sending …</span></div>`}
  </article>`;
}

/** @param {Unsent} unsent */
function prospectOf({ passing, code }) {
  if (!passing) return "";
  return code ? "It will be tried again." : "It will be sent when the server is back.";
}
