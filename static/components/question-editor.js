import { useEffect, useRef, useState } from "preact/hooks";
import { isComposing } from "../hooks/composing.js";
import { html } from "./html.js";

/** @param {{text: string, action: string, onSend: (text: string) => void, onCancel: () => void}} props */
export function QuestionEditor({ text, action, onSend, onCancel }) {
  const [edited, setEdited] = useState(text);
  const area = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  useEffect(() => {
    area.current?.focus();
    area.current?.setSelectionRange(text.length, text.length);
  }, []);
  const send = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (edited.trim()) onSend(edited);
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    event.stopPropagation();
    if (isComposing(event)) return;
    if (event.key === "Enter" && !event.shiftKey) send(event);
    if (event.key === "Escape") onCancel();
  };
  return html`<form class="question-editor" onSubmit=${send}>
    <textarea ref=${area} aria-label="Edit the question" dir="auto" value=${edited} onKeyDown=${onKeyDown}
      onInput=${(/** @type {any} */ event) => setEdited(event.target.value)} />
    <div class="buttons">
      <button type="button" onClick=${onCancel}>Cancel</button>
      <button type="submit" class="primary" disabled=${!edited.trim()}>${action}</button>
    </div>
  </form>`;
}
