import { effect, signal } from "@preact/signals";
import { browserKeeper } from "../client/index.js";
import { KEPT, kept, read } from "./kept.js";

/** @typedef {"system" | "light" | "dark"} Theme */
/** @typedef {"now" | "calm" | "slow"} Speed */

export const theme = kept("theme", /** @type {Theme} */ ("system"));
export const useStreaming = kept("useStreaming", true);
export const speed = kept("speed", /** @type {Speed} */ ("now"));
export const provider = kept("provider", /** @type {string | null} */ (null));
export const model = kept("model", /** @type {string | null} */ (null));
export const thinking = kept("thinking", false);
export const whenBusy = kept("whenBusy", /** @type {"enqueue" | "interrupt"} */ ("enqueue"));
export const maxTokens = kept("maxTokens", /** @type {number | null} */ (null));
export const preferWebSocket = kept("preferWebSocket", false);
export const lastSession = kept("lastSession", /** @type {string | null} */ (null));

const KEYS = `${KEPT}keys`;

/** Provider keys: in this tab's memory, unless the user asks to keep them; then they are the same in all tabs. */
export const keepKeys = kept("keepKeys", false);
export const keys = signal(/** @type {Record<string, string>} */ (keepKeys.value ? read(KEYS, {}) : {}));

// Only the tab in which something was chosen writes: another one may have other keys, or none.

/**
 * @param {string} provider
 * @param {string} key none: forget it
 */
export function setKey(provider, key) {
  const { [provider]: _, ...others } = keys.value;
  keys.value = key ? { ...others, [provider]: key } : others;
  keepOrForgetKeys();
}

/** @param {boolean} keep */
export function setKeepKeys(keep) {
  keepKeys.value = keep;
  keepOrForgetKeys();
}

function keepOrForgetKeys() {
  if (keepKeys.value) browserKeeper.setItem(KEYS, JSON.stringify(keys.value));
  else browserKeeper.removeItem(KEYS);
}

addEventListener("storage", ({ key, oldValue, newValue }) => {
  if (key !== KEYS || newValue === null) return;
  const begins = oldValue === null; // what only this tab has is not lost by another's keeping its own
  keys.value = { ...(begins ? keys.value : {}), ...read(KEYS, {}) };
});

effect(() => {
  document.documentElement.dataset.theme = theme.value;
});
