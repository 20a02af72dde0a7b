import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { browserKeeper } from "../client/index.js";
import { isComposing } from "../hooks/composing.js";
import { KEPT } from "../hooks/kept.js";
import { html } from "./html.js";

/** @param {string} id of the question */
const draftKey = (id) => `${KEPT}edit:${id}`;

/** Whether somebody was editing it here, before a reload say. @param {string} id */
export const isBeingEdited = (id) => browserKeeper.getItem(draftKey(id)) !== null;

/**
 * @param {object} props
 * @param {string} props.id of the question: what is typed is kept by it
 * @param {string} props.text
 * @param {string} props.action
 * @param {(text: string) => void} props.onSend
 * @param {() => void} props.onCancel
 */
export function QuestionEditor({ id, text, action, onSend, onCancel }) {
  const [edited, setEdited] = useState(browserKeeper.getItem(draftKey(id)) ?? text);
  const edit = (/** @type {any} */ { target }) => {
    setEdited(target.value);
    browserKeeper.setItem(draftKey(id), target.value);
  };
  const cancel = () => {
    browserKeeper.removeItem(draftKey(id));
    onCancel();
  };
  const area = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  // Before it is painted: whoever types at once would have the place changed under their fingers.
  useLayoutEffect(() => {
    if (isBeingEdited(id)) return; // since an earlier visit: whoever comes back may be typing elsewhere by now
    area.current?.focus();
    area.current?.setSelectionRange(text.length, text.length);
  }, []);
  const send = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!edited.trim()) return;
    browserKeeper.removeItem(draftKey(id));
    onSend(edited);
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    event.stopPropagation();
    if (isComposing(event)) return;
    if (event.key === "Enter" && !event.shiftKey) send(event);
    if (event.key === "Escape") cancel();
  };
  return html`<form class="question-editor" onSubmit=${send}>
    <textarea ref=${area} aria-label="Edit the question" dir="auto" value=${edited} onKeyDown=${onKeyDown}
      onInput=${edit} />
    <div class="buttons">
      <button type="button" onClick=${cancel}>Cancel</button>
      <button type="submit" class="primary" disabled=${!edited.trim()}>${action}</button>
    </div>
  </form>`;
}
