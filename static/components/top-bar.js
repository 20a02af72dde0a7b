import { ConnectionBadge } from "./connection-badge.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";

/** @import { SessionStore } from "../hooks/session-store.js" */

/**
 * @param {{session: SessionStore, title: string, onMenu: () => void, onConnection: () => void,
 *   onSettings: () => void, onExport: () => void}} props
 */
export function TopBar({ session, title, onMenu, onConnection, onSettings, onExport }) {
  return html`<header class="top-bar">
    <button type="button" id="open-chats" class="quiet icon-only menu" onClick=${onMenu} aria-label="Chats"><${Icon} name="menu" /></button>
    <h1 dir="auto">${title}</h1>
    <${ConnectionBadge} state=${session.state.value} onOpen=${onConnection} />
    ${session.path.value.length > 0 &&
    !session.deleted.value &&
    html`<button type="button" class="quiet icon-only" onClick=${onExport} aria-label="Export" title="Export">
      <${Icon} name="download" /></button>`}
    <button type="button" class="quiet icon-only" onClick=${onSettings} aria-label="Settings" title="Settings">
      <${Icon} name="settings" /></button>
  </header>`;
}
