import { useLayoutEffect, useRef } from "preact/hooks";

export const COMPOSER = "composer";

/** Whether fingers do the pointing: then a keyboard on the screen covers half of it. */
export const isTouched = () => matchMedia("(pointer: coarse)").matches;

/** Where one goes on from when what had the focus is gone. */
export function focusComposer() {
  if (!isTouched()) document.getElementById(COMPOSER)?.focus();
}

/** For what may go while it has the focus, used or not: whoever was there goes on at the composer. */
export function useFocusPassedOn() {
  const element = useRef(/** @type {HTMLElement | null} */ (null));
  // While it is still there: other effects end later.
  useLayoutEffect(
    () => () => {
      if (element.current?.contains(document.activeElement)) focusComposer();
    },
    [],
  );
  return element;
}
