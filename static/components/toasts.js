import { removable, undoRemove } from "../hooks/session-list.js";
import { trouble } from "../hooks/trouble.js";
import { undoable } from "../hooks/undo.js";
import { html } from "./html.js";
import { Remedy } from "./remedy.js";

/**
 * What happened, for a moment: a deletion that can be undone, something that failed.
 * @param {{session: string}} props
 */
export function Toasts({ session }) {
  const last = removable.value;
  return html`<div class="toasts" role="status">
    ${trouble.value && html`<p class="toast">${trouble.value.text} <${Remedy} code=${trouble.value.code} session=${session} /></p>`}
    ${undoable.value &&
    html`<p class="toast">${undoable.value.what} <button type="button" onClick=${undoable.value.undo}>Undo</button></p>`}
    ${last &&
    html`<p class="toast">“${last.title || "Untitled"}” deleted.
      <button type="button" onClick=${() => undoRemove(last.id)}>Undo</button></p>`}
  </div>`;
}
