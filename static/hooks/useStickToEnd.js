import { useSignal } from "@preact/signals";
import { useCallback, useEffect, useRef } from "preact/hooks";

const NEAR = 40; // pixels from the end that count as being there, for somebody who comes down

/**
 * Keeps a scrolling element at its end while it grows, until its reader scrolls up.
 * @param {string} subject a new one begins at its end again
 * @param {boolean} isEmpty then there is no end to be at
 */
export function useStickToEnd(subject, isEmpty) {
  const scroller = useRef(/** @type {HTMLElement | null} */ (null));
  const content = useRef(/** @type {HTMLElement | null} */ (null));
  const sticks = useRef(true);
  const rests = useRef(isEmpty);
  rests.current = isEmpty;
  // Signals: a conversation of a thousand messages is not to be gone through for a button.
  const isAway = useSignal(false);
  const hasNews = useSignal(false);

  const toEnd = useCallback(() => {
    sticks.current = true;
    isAway.value = false;
    hasNews.value = false;
    if (!rests.current) scroller.current?.scrollTo(0, scroller.current.scrollHeight);
  }, []);

  const letGo = useCallback(() => {
    sticks.current = false;
    isAway.value = true;
  }, []);

  useEffect(() => {
    const element = /** @type {HTMLElement} */ (scroller.current);
    let last = element.scrollTop;
    const onScroll = () => {
      if (rests.current) return;
      const { scrollTop, scrollHeight, clientHeight } = element;
      const fromEnd = scrollHeight - scrollTop - clientHeight;
      // Growth alone also leaves the end, and where something shrinks, or bounces, the browser goes back to it: only
      // somebody scrolling moves up from it, and the first pixel says so.
      if (scrollTop < last && fromEnd > 1) sticks.current = false;
      else if (scrollTop > last && fromEnd < NEAR) sticks.current = true;
      last = scrollTop;
      isAway.value = !sticks.current;
      if (sticks.current) hasNews.value = false;
    };
    let isHeld = false; // a pointer is down: what it points at, or selects, must not move away under it
    const onPointerDown = () => {
      isHeld = true;
    };
    const onPointerUp = (/** @type {Event} */ { type }) => {
      if (!isHeld) return;
      isHeld = false;
      if (type === "pointercancel") return; // it scrolls now
      if (!getSelection()?.isCollapsed) letGo();
      else if (sticks.current) toEnd();
    };
    const grown = new ResizeObserver(() => {
      if (rests.current) return;
      if (!sticks.current || isHeld) return void (hasNews.value = true);
      element.scrollTop = element.scrollHeight;
      last = element.scrollTop; // its event comes later, maybe together with a movement up
    });
    element.addEventListener("pointerdown", onPointerDown);
    for (const end of ["pointerup", "pointercancel"]) addEventListener(end, onPointerUp);
    grown.observe(/** @type {HTMLElement} */ (content.current));
    element.addEventListener("scroll", onScroll, { passive: true });
    return () => {
      grown.disconnect();
      element.removeEventListener("pointerdown", onPointerDown);
      for (const end of ["pointerup", "pointercancel"]) removeEventListener(end, onPointerUp);
      element.removeEventListener("scroll", onScroll);
    };
  }, []);
  useEffect(toEnd, [subject]);
  return { scroller, content, isAway, hasNews, toEnd, letGo };
}
