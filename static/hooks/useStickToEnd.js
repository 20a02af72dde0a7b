import { useSignal } from "@preact/signals";
import { useCallback, useEffect, useRef } from "preact/hooks";

const NEAR = 40; // pixels from the end that still count as being there

/**
 * Keeps a scrolling element at its end while it grows, until its reader scrolls up.
 * @param {string} subject a new one begins at its end again
 */
export function useStickToEnd(subject) {
  const scroller = useRef(/** @type {HTMLElement | null} */ (null));
  const content = useRef(/** @type {HTMLElement | null} */ (null));
  const sticks = useRef(true);
  // Signals: a conversation of a thousand messages is not to be gone through for a button.
  const isAway = useSignal(false);
  const hasNews = useSignal(false);

  const toEnd = useCallback(() => {
    sticks.current = true;
    isAway.value = false;
    hasNews.value = false;
    scroller.current?.scrollTo(0, scroller.current.scrollHeight);
  }, []);

  const letGo = useCallback(() => {
    sticks.current = false;
    isAway.value = true;
  }, []);

  useEffect(() => {
    const element = /** @type {HTMLElement} */ (scroller.current);
    let last = element.scrollTop;
    const onScroll = () => {
      const { scrollTop, scrollHeight, clientHeight } = element;
      const atEnd = scrollHeight - scrollTop - clientHeight < NEAR;
      // Growth alone also leaves the end; only somebody scrolling moves up.
      if (atEnd || scrollTop < last) sticks.current = atEnd;
      last = scrollTop;
      isAway.value = !sticks.current;
      if (atEnd) hasNews.value = false;
    };
    let isHeld = false; // a pointer is down: what it points at, or selects, must not move away under it
    const onPointerDown = () => {
      isHeld = true;
    };
    const onPointerUp = () => {
      if (!isHeld) return;
      isHeld = false;
      if (!getSelection()?.isCollapsed) letGo();
      else if (sticks.current) toEnd();
    };
    const grown = new ResizeObserver(() => {
      if (sticks.current && !isHeld) element.scrollTop = element.scrollHeight;
      else hasNews.value = true;
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
