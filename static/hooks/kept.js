import { effect, signal } from "@preact/signals";
import { Cache, browserKeeper, tabKeeper } from "../client/index.js";
import { disown, owner } from "./owner.js";

/** What begins the name of everything that is kept in the browser for its owner, and of what their tabs share. */
export const KEPT = `xionimus:${owner}:`;

export const cache = new Cache(`xionimus:${owner}`);

/**
 * A signal whose value is kept in the browser and is the same in all of its owner's tabs.
 * @template T
 * @param {string} name
 * @param {T} initial
 */
export function kept(name, initial) {
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
export function read(key, initial) {
  try {
    const found = JSON.parse(browserKeeper.getItem(key) ?? "") ?? initial;
    return Array.isArray(found) === Array.isArray(initial) ? found : initial;
  } catch {
    return initial;
  }
}

/** Everything of the owner's, as far as this browser is concerned. */
export function forgetAll() {
  disown();
  for (const keeper of [browserKeeper, tabKeeper]) {
    for (const name of keeper.keys()) if (name.startsWith(KEPT)) keeper.removeItem(name);
  }
  return cache.destroy();
}
