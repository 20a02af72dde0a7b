import { undoRemove, undoable } from "../hooks/session-list.js";
import { trouble } from "../hooks/trouble.js";
import { html } from "./html.js";

/** What happened, for a moment: a deletion that can be undone, something that failed. */
export function Toasts() {
  const last = undoable.value;
  return html`<div class="toasts" role="status">
    ${trouble.value && html`<p class="toast">${trouble.value}</p>`}
    ${last &&
    html`<p class="toast">“${last.title || "Untitled"}” deleted.
      <button type="button" onClick=${() => undoRemove(last.id)}>Undo</button></p>`}
  </div>`;
}
