import { online } from "../hooks/reading.js";
import { isReached } from "../hooks/session-list.js";
import { html } from "./html.js";

/** @import { ReadingState } from "../client/follow.js" */

/**
 * A word about the connection, when there is something to say.
 * @param {{state: ReadingState | null, onOpen: () => void}} props
 */
export function ConnectionBadge({ state, onOpen }) {
  const word = wordFor(state);
  const isWaiting = !online.value || (!state && !isReached.value);
  return html`<button type="button" class="quiet badge ${isWaiting ? "waiting" : (state?.phase ?? "idle")}" onClick=${onOpen}
    title="Connection"><span class="dot" aria-hidden="true" /> <span role="status">${word}</span></button>`;
}

/** @param {ReadingState | null} state */
function wordFor(state) {
  if (!online.value) return "Offline";
  if (!state) return isReached.value ? "Ready" : "Reconnecting";
  if (state.refused === "unauthorized") return "Signed out";
  if (state.phase === "waiting") return "Reconnecting";
  if (state.phase === "connecting") return "Connecting";
  if (state.phase === "gone") return "Deleted";
  return state.way === "poll" ? "Reading in steps" : "Live";
}
