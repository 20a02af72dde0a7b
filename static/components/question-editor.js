import { useEffect, useRef, useState } from "preact/hooks";
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
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event);
    if (event.key === "Escape") onCancel();
    event.stopPropagation();
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
