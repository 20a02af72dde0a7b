import { effect, signal } from "@preact/signals";
import { browserKeeper } from "../client/index.js";
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
  effect(() => browserKeeper.setItem(key, JSON.stringify(value.value)));
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
    return JSON.parse(browserKeeper.getItem(key) ?? "") ?? initial;
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
