import { effect, signal } from "@preact/signals";
import { KEPT } from "./kept.js";

/** @typedef {"system" | "light" | "dark"} Theme */
/** @typedef {"now" | "calm" | "slow"} Speed */

/**
 * A signal whose value is kept in the browser and is the same in all of its owner's tabs.
 * @template T
 * @param {string} name
 * @param {T} initial
 */
function kept(name, initial) {
  const key = KEPT + name;
  const value = signal(read(key, initial));
  effect(() => localStorage.setItem(key, JSON.stringify(value.value)));
  addEventListener("storage", (event) => {
    if (event.key === key) value.value = read(key, initial);
  });
  return value;
}

/**
 * @template T
 * @param {string} key
 * @param {T} initial
 * @returns {T}
 */
function read(key, initial) {
  try {
    return JSON.parse(localStorage.getItem(key) ?? "") ?? initial;
  } catch {
    return initial;
  }
}

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

/** Provider keys: in this tab's memory, unless the user asks to keep them. */
export const keepKeys = kept("keepKeys", false);
export const keys = signal(/** @type {Record<string, string>} */ (keepKeys.value ? read(KEYS, {}) : {}));

effect(() => {
  if (keepKeys.value) localStorage.setItem(KEYS, JSON.stringify(keys.value));
  else localStorage.removeItem(KEYS);
});

effect(() => {
  document.documentElement.dataset.theme = theme.value;
});
