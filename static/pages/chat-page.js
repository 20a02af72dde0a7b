import { Announcer } from "../components/announcer.js";
import { Composer } from "../components/composer.js";
import { COMPOSER, focusComposer } from "../components/composer-focus.js";
import { ConnectionPanel } from "../components/connection-panel.js";
import { ExportDialog } from "../components/export-dialog.js";
import { html } from "../components/html.js";
import { SignIn } from "../components/remedy.js";
import { SettingsDialog } from "../components/settings-dialog.js";
import { Sidebar } from "../components/sidebar.js";
import { Toasts } from "../components/toasts.js";
import { TopBar } from "../components/top-bar.js";
import { Transcript } from "../components/transcript.js";
import { currentId } from "../hooks/app-state.js";
import { opened } from "../hooks/opened.js";
import { signedOut } from "../hooks/owner.js";
import { all } from "../hooks/session-list.js";
import { useDrawer } from "../hooks/useDrawer.js";
import { useShortcuts } from "../hooks/useShortcuts.js";
import { useStreamingChat } from "../hooks/useStreamingChat.js";

/** @import { Opened } from "../hooks/opened.js" */

/** The address says which chat is in view, so the link does not lead there by itself. @param {Event} event */
function skip(event) {
  event.preventDefault();
  document.getElementById(COMPOSER)?.focus();
}

export function ChatPage() {
  const { session, stop } = useStreamingChat({ sessionId: currentId.value });
  const drawer = useDrawer("open-chats");
  const listed = all.value.find((each) => each.id === session.id);
  const title = session.missing.value ? "No such chat" : session.title.value || listed?.title || "New chat";
  const dialog = opened.value;
  const toasts = html`<${Toasts} session=${session.id} />`;
  const open = (/** @type {Opened} */ which) => () => (opened.value = which);
  const close = open(null);
  const leaveOrStop = () => (document.activeElement?.matches("input[type=search]") ? focusComposer() : stop());
  useShortcuts({ escape: drawer.isOpen ? drawer.close : leaveOrStop, showSearch: () => drawer.open("search") });
  document.title = title === "New chat" ? "Xionimus" : `${title} · Xionimus`;

  return html`<a class="skip" href="#${COMPOSER}" onClick=${skip}>Skip to the question</a>
  <div class=${drawer.isOpen ? "page with-menu" : "page"}>
    <${Sidebar} onClose=${drawer.close} />
    <div class="veil" onClick=${drawer.close} />
    <main inert=${drawer.isOpen}>
      <${TopBar} session=${session} title=${title} onMenu=${() => drawer.open("close-chats")}
        onConnection=${open("connection")} onSettings=${open("settings")} onExport=${open("export")} />
      ${session.deleted.value &&
      html`<p class="notice" role="status">This chat has been deleted. What you ask begins a new one.</p>`}
      ${session.missing.value &&
      html`<p class="notice" role="status">There is no such chat here. What you ask begins a new one.</p>`}
      ${(signedOut.value || session.state.value?.refused === "unauthorized") &&
      html`<p class="notice" role="status">You are signed out. <${SignIn} session=${session.id} /></p>`}
      ${!drawer.isOpen && toasts}
      <${Transcript} key=${session.id} session=${session} />
      <${Composer} session=${session} />
    </main>
    ${drawer.isOpen && html`<div class="over">${toasts}</div>`}
    ${dialog === "connection" && html`<${ConnectionPanel} session=${session} onClose=${close} />`}
    ${dialog === "settings" && html`<${SettingsDialog} onClose=${close} />`}
    ${dialog === "export" && html`<${ExportDialog} session=${session.id} onClose=${close} />`}
    <${Announcer} />
  </div>`;
}
