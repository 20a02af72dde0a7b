import { openSession } from "../hooks/app-state.js";
import { removable, undoRemove } from "../hooks/session-list.js";
import { trouble } from "../hooks/trouble.js";
import { undoable } from "../hooks/undo.js";
import { focusComposer } from "./composer-focus.js";
import { html } from "./html.js";
import { Remedy } from "./remedy.js";

/**
 * What happened, for a moment: a deletion that can be undone, something that failed.
 * @param {{session: string}} props
 */
export function Toasts({ session }) {
  const last = removable.value;
  const undoing = (/** @type {() => void} */ undo) => () => {
    undo();
    focusComposer();
  };
  const restore = (/** @type {NonNullable<typeof last>} */ { id, wasInView }) => {
    undoRemove(id);
    if (wasInView) openSession(id);
  };
  return html`<div class="toasts" role="status">
    ${trouble.value && html`<p class="toast">${trouble.value.text} <${Remedy} code=${trouble.value.code} session=${session} /></p>`}
    ${undoable.value &&
    html`<p class="toast">${undoable.value.what} <button type="button" onClick=${undoing(undoable.value.undo)}>Undo</button></p>`}
    ${last &&
    html`<p class="toast">“${last.title || "Untitled"}” deleted.
      <button type="button" onClick=${undoing(() => restore(last))}>Undo</button></p>`}
  </div>`;
}
