import { useEffect, useRef } from "preact/hooks";
import { html } from "./html.js";
import { Icon } from "./icons.js";

/** @param {{title: string, onClose: () => void, children?: any}} props */
export function Dialog({ title, onClose, children }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => dialog.current?.showModal(), []);
  // By its own `close`, which gives the focus back, and says so.
  const close = () => dialog.current?.close();
  // A selection may be drawn out of a field and beyond the dialog: that is no click beside it.
  const isBeside = useRef(false);
  const onPointerDown = (/** @type {Event} */ event) => (isBeside.current = event.target === dialog.current);
  const onClick = (/** @type {Event} */ event) => isBeside.current && event.target === dialog.current && close();
  return html`<dialog ref=${dialog} aria-label=${title} onClose=${onClose} onPointerDown=${onPointerDown}
    onClick=${onClick}>
    <div class="dialog">
      <header>
        <h2>${title}</h2>
        <button type="button" class="quiet icon-only" onClick=${close} aria-label="Close"><${Icon} name="close" /></button>
      </header>
      ${children}
    </div>
  </dialog>`;
}
