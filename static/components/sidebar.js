import { useEffect } from "preact/hooks";
import { currentId, newSession } from "../hooks/app-state.js";
import { hasMore, listed, loadMore, searched } from "../hooks/session-list.js";
import { owner, signsIn } from "../hooks/owner.js";
import { signOut } from "../hooks/signing-out.js";
import { ChatSearch } from "./chat-search.js";
import { useFocusPassedOn } from "./composer-focus.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";
import { SessionRow } from "./session-row.js";

/** @param {{onClose: () => void}} props for where it is a drawer: also when a chat has been chosen */
export function Sidebar({ onClose }) {
  const start = () => {
    newSession();
    onClose();
  };
  useEffect(() => document.querySelector(".session.current")?.scrollIntoView({ block: "nearest" }), [currentId.value]);
  return html`<nav class="sidebar" aria-label="Chats">
    <div class="sidebar-top">
      <button type="button" id="close-chats" class="quiet icon-only close" onClick=${onClose} aria-label="Close the chats">
        <${Icon} name="close" /></button>
      <button type="button" class="new" onClick=${start}><${Icon} name="plus" /> New chat</button>
      <${ChatSearch} />
    </div>
    <div class="chats">
      <ul class="sessions">
        ${listed.value.map(
          (session) => html`<${SessionRow} key=${session.id} session=${session}
            isCurrent=${session.id === currentId.value} onOpen=${onClose} />`,
        )}
      </ul>
      ${!listed.value.length && html`<p class="nothing">${searched.value ? "Nothing found" : "No chats yet"}</p>`}
      ${hasMore.value && html`<${More} />`}
    </div>
    ${signsIn &&
    html`<footer class="whose"><span>${owner}</span>
      <button type="button" class="quiet" onClick=${signOut}>Sign out</button></footer>`}
  </nav>`;
}

function More() {
  const button = useFocusPassedOn();
  return html`<button type="button" class="quiet" ref=${button} onClick=${loadMore}>Show more</button>`;
}
