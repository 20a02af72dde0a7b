export const COMPOSER = "composer";

/** Where one goes on from when what had the focus is gone. Not where a keyboard would cover half of the screen. */
export function focusComposer() {
  if (!matchMedia("(pointer: coarse)").matches) document.getElementById(COMPOSER)?.focus();
}
