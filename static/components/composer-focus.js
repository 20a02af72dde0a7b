export const COMPOSER = "composer";

/** Whether fingers do the pointing: then a keyboard on the screen covers half of it. */
export const isTouched = () => matchMedia("(pointer: coarse)").matches;

/** Where one goes on from when what had the focus is gone. */
export function focusComposer() {
  if (!isTouched()) document.getElementById(COMPOSER)?.focus();
}
