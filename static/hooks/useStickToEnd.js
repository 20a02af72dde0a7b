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
    const grown = new ResizeObserver(() => {
      if (sticks.current) element.scrollTop = element.scrollHeight;
      else hasNews.value = true;
    });
    grown.observe(/** @type {HTMLElement} */ (content.current));
    element.addEventListener("scroll", onScroll, { passive: true });
    return () => {
      grown.disconnect();
      element.removeEventListener("scroll", onScroll);
    };
  }, []);
  useEffect(toEnd, [subject]);
  const letGo = useCallback(() => {
    sticks.current = false;
    isAway.value = true;
  }, []);
  return { scroller, content, isAway, hasNews, toEnd, letGo };
}
