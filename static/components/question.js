import { useState } from "preact/hooks";
import { BranchArrows } from "./branch-arrows.js";
import { Bubble } from "./bubble.js";
import { focusComposer } from "./composer-focus.js";
import { CopyButton } from "./copy-button.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";
import { QuestionEditor, isBeingEdited } from "./question-editor.js";

/** @import { SessionStore } from "../hooks/session-store.js" */
/** @import { Spoken } from "../client/conversation.js" */

/** @param {{session: SessionStore, message: Spoken}} props */
export function Question({ session, message }) {
  const [editing, setEditing] = useState(isBeingEdited(message.id));
  session.revision(message.id).value;
  if (editing) {
    const send = (/** @type {string} */ text) => {
      setEditing(false);
      session.send(text, message.parent_id ?? "root");
      focusComposer();
    };
    const cancel = () => {
      setEditing(false);
      focusComposer();
    };
    return html`<${QuestionEditor} id=${message.id} text=${message.content} action="Send as a new version" onSend=${send}
      onCancel=${cancel} />`;
  }
  return html`<article class="question" aria-label="Question" data-message=${message.id}>
    <${Bubble} text=${message.content} />
    <div class="actions">
      <${BranchArrows} session=${session} message=${message} />
      <${CopyButton} text=${message.content} label="Copy the question" />
      ${!session.deleted.value &&
      html`<button type="button" class="quiet icon-only" onClick=${() => setEditing(true)}
        aria-label="Edit the question" title="Edit the question"><${Icon} name="edit" /></button>`}
    </div>
  </article>`;
}
