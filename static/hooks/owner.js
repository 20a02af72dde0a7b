import { signal } from "@preact/signals";
import { browserKeeper, tabKeeper } from "../client/index.js";

const LAST = "xionimus:owner";
const TRIED = "xionimus:became";

const told = document.querySelector('meta[name="owner"]');

/** Whose page this is. The server says so in it, so that nothing of anybody else's is shown even for a moment. */
export const owner = told?.getAttribute("content") || "local";

/** Whether people sign in here. */
export const signsIn = told?.hasAttribute("data-signs-in") ?? false;

/** Whether the server has lately refused to answer for want of a token. */
export const signedOut = signal(false);

let confirm = () => {};

/** Resolves when the server has answered this page as its owner's: it may have come from the browser's own cache. */
export const confirmed = new Promise((resolve) => (confirm = () => resolve(undefined)));

/**
 * Whether it is the page's owner whom the server has just answered; if it is not, the page makes way.
 * @param {string} name
 */
export function confirmOwner(name) {
  signedOut.value = false;
  if (name === owner) confirm();
  else makeWay(name);
  return name === owner;
}

/** The page is nobody's any more. */
export const disown = () => browserKeeper.removeItem(LAST);

/** Somebody else has signed in: the page is theirs from now on. @param {string} name */
function makeWay(name) {
  if (tabKeeper.getItem(TRIED) === name) return; // once is enough, whatever the page says
  tabKeeper.setItem(TRIED, name);
  location.replace("/"); // without the fragment, which names a chat of the other's
}

if (tabKeeper.getItem(TRIED) === owner) tabKeeper.removeItem(TRIED);
browserKeeper.setItem(LAST, owner);
addEventListener("storage", ({ key, newValue }) => {
  if (key === LAST && newValue && newValue !== owner) makeWay(newValue);
});
addEventListener("pageshow", ({ persisted }) => {
  if (persisted && browserKeeper.getItem(LAST) !== owner) location.reload();
});
