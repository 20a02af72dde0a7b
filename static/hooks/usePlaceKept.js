import { useEffect, useRef } from "preact/hooks";
import { tabKeeper } from "../client/index.js";
import { KEPT } from "./kept.js";

/** @typedef {{id: string, offset: number}} ReadingPlace a message, and how far its top is from the window's */

const TURNS = 5;

const key = (/** @type {string} */ session) => `${KEPT}place:${session}`;

/**
 * Comes back to where somebody was reading when they left a conversation, also by a reload. Who was at the end comes
 * back to the end.
 * @param {object} options
 * @param {string} options.session
 * @param {{current: HTMLElement | null}} options.scroller its messages carry `data-message`
 * @param {{value: boolean}} options.isAway
 * @param {boolean} options.isLoaded
 * @param {() => void} options.letGo do not stay at the end
 */
export function usePlaceKept({ session, scroller, isAway, isLoaded, letGo }) {
  const hasReturned = useRef(false);
  useEffect(() => {
    if (!isLoaded || hasReturned.current) return;
    hasReturned.current = true;
    const place = JSON.parse(tabKeeper.getItem(key(session)) ?? "null");
    if (place && scroller.current) comeBack(scroller.current, place, letGo);
  }, [isLoaded]);
  useEffect(() => {
    const element = /** @type {HTMLElement} */ (scroller.current);
    const keep = () => {
      const place = isAway.value ? placeIn(element) : null;
      if (place) tabKeeper.setItem(key(session), JSON.stringify(place));
      else tabKeeper.removeItem(key(session));
    };
    element.addEventListener("scrollend", keep);
    return () => element.removeEventListener("scrollend", keep);
  }, [session]);
}

/**
 * @param {HTMLElement} scroller
 * @param {ReadingPlace} place
 * @param {() => void} letGo
 */
function comeBack(scroller, { id, offset }, letGo) {
  const message = scroller.querySelector(`[data-message="${CSS.escape(id)}"]`);
  if (!message) return;
  letGo();
  settle(TURNS);

  /** What comes into view gets its true height only then. @param {number} turns */
  function settle(turns) {
    scroller.scrollTop += topOf(/** @type {Element} */ (message), scroller) - offset;
    if (turns > 1) requestAnimationFrame(() => settle(turns - 1));
  }
}

/**
 * @param {HTMLElement} scroller
 * @returns {ReadingPlace | null}
 */
function placeIn(scroller) {
  for (const message of scroller.querySelectorAll("[data-message]")) {
    const { bottom } = message.getBoundingClientRect();
    if (bottom <= scroller.getBoundingClientRect().top) continue;
    return { id: message.getAttribute("data-message") ?? "", offset: topOf(message, scroller) };
  }
  return null;
}

/**
 * @param {Element} message
 * @param {Element} scroller
 */
function topOf(message, scroller) {
  return message.getBoundingClientRect().top - scroller.getBoundingClientRect().top;
}
