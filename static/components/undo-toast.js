import { undoRemove, undoable } from "../hooks/session-list.js";
import { html } from "./html.js";

export function UndoToast() {
  const last = undoable.value;
  return html`<div class="toasts" role="status">
    ${last &&
    html`<p class="toast">“${last.title || "Untitled"}” deleted.
      <button type="button" onClick=${() => undoRemove(last.id)}>Undo</button></p>`}
  </div>`;
}
