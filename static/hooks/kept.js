import { Cache, browserKeeper, tabKeeper } from "../client/index.js";
import { disown, owner } from "./owner.js";

/** What begins the name of everything that is kept in the browser for its owner, and of what their tabs share. */
export const KEPT = `xionimus:${owner}:`;

export const cache = new Cache(`xionimus:${owner}`);

/** Everything of the owner's, as far as this browser is concerned. */
export function forgetAll() {
  disown();
  for (const keeper of [browserKeeper, tabKeeper]) {
    for (const name of keeper.keys()) if (name.startsWith(KEPT)) keeper.removeItem(name);
  }
  return cache.destroy();
}
