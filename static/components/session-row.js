import { useEffect, useRef, useState } from "preact/hooks";
import { newSession, openSession } from "../hooks/app-state.js";
import { isComposing } from "../hooks/composing.js";
import { isBegun, remove, rename } from "../hooks/session-list.js";
import { isUnsent } from "../hooks/unsent.js";
import { focusComposer } from "./composer-focus.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";

/** @import { Session } from "../client/types.js" */

/** @param {{session: Session, isCurrent: boolean, onOpen: () => void}} props */
export function SessionRow({ session, isCurrent, onOpen }) {
  const [renaming, setRenaming] = useState(false);
  const row = useRef(/** @type {HTMLLIElement | null} */ (null));
  const link = useRef(/** @type {HTMLAnchorElement | null} */ (null));
  const edit = useRef(/** @type {HTMLButtonElement | null} */ (null));
  const wasRenaming = useRef(false);
  useEffect(() => {
    if (wasRenaming.current && !renaming && document.activeElement === document.body) {
      link.current?.focus(); // it shows what can be done with the row, too
      edit.current?.focus();
    }
    wasRenaming.current = renaming;
  }, [renaming]);
  const title = session.title || "Untitled";
  if (renaming) return html`<li><${TitleEditor} session=${session} onDone=${() => setRenaming(false)} /></li>`;
  const discard = () => {
    focusNextTo(row.current);
    remove(session, () => isCurrent && openSession(session.id));
    if (isCurrent) newSession();
  };
  return html`<li ref=${row} class=${isCurrent ? "session current" : "session"}>
    <a ref=${link} href="#${session.id}" aria-current=${isCurrent ? "page" : undefined} onClick=${onOpen}>
      <span class="title" dir="auto">${title}</span>
      <span class="when">
        ${session.active.length > 0 && html`<span class="active" role="img" aria-label="being answered" />`}
        ${isUnsent(session.id) ? "not sent" : when(session.updated_at)}
      </span>
    </a>
    <span class="row-actions">
      ${!isBegun(session.id) &&
      html`<button ref=${edit} type="button" class="quiet icon-only" aria-label="Rename ${title}" title="Rename"
        onClick=${() => setRenaming(true)}><${Icon} name="edit" /></button>`}
      <button type="button" class="quiet icon-only" aria-label="Delete ${title}" title="Delete"
        onClick=${discard}><${Icon} name="trash" /></button>
    </span>
  </li>`;
}

/** @param {HTMLElement | null} row that goes */
function focusNextTo(row) {
  const next = row?.nextElementSibling ?? row?.previousElementSibling;
  const link = next?.querySelector("a");
  if (link) link.focus();
  else focusComposer();
}

/** @param {{session: Session, onDone: () => void}} props */
function TitleEditor({ session, onDone }) {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => field.current?.select(), []);
  const save = () => {
    const title = field.current?.value.trim();
    if (title && title !== session.title) rename(session.id, title);
    onDone();
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    event.stopPropagation();
    if (isComposing(event)) return;
    if (event.key === "Enter") save();
    if (event.key === "Escape") onDone();
  };
  return html`<input class="rename" ref=${field} aria-label="Title" maxlength="200" value=${session.title}
    onKeyDown=${onKeyDown} onBlur=${save} />`;
}

/** @param {string} timestamp */
function when(timestamp) {
  const date = new Date(timestamp);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday
    ? date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
    : date.toLocaleDateString([], { day: "numeric", month: "short" });
}
