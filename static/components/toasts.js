import { trouble } from "../hooks/trouble.js";
import { undo, undoable, waitAgain } from "../hooks/undo.js";
import { html } from "./html.js";
import { PassingButton } from "./passing-button.js";
import { Remedy } from "./remedy.js";

/**
 * What happened, for a moment: a deletion that can be undone, something that failed. Whoever is at it has time.
 * @param {{session: string}} props
 */
export function Toasts({ session }) {
  return html`<div class="toasts" role="status" onPointerLeave=${waitAgain} onFocusOut=${waitAgain}>
    ${trouble.value && html`<p class="toast">${trouble.value.text} <${Remedy} code=${trouble.value.code} session=${session} /></p>`}
    ${undoable.value &&
    html`<p class="toast">${undoable.value.what}
      <${PassingButton} onClick=${undo} title="Undo (Ctrl Z)">Undo<//></p>`}
  </div>`;
}
