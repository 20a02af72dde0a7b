import { computed, signal } from "@preact/signals";

const OFFERED_FOR = 6_000;
const HELD = ".toasts:is(:hover, :focus-within)"; // somebody is at it: see toasts.js

/**
 * What was done, as a sentence; how it is taken back; and what is to be done when nobody does.
 * @typedef {{key: string, what: string, undo: () => void, over?: () => void, timer?: number}} Offer
 */

const offers = signal(/** @type {Offer[]} */ ([]));

/** What was done last that can be taken back. */
export const undoable = computed(() => offers.value.at(-1) ?? null);

/** @param {Offer} offer */
export function offerUndo(offer) {
  offers.value = [...offers.value, offer];
  wait(offer);
}

/** @param {string} key */
export function withdraw(key) {
  for (const offer of offers.value) if (offer.key === key) clearTimeout(offer.timer);
  offers.value = offers.value.filter((offer) => offer.key !== key);
}

/** Take back what was done last. */
export function undo() {
  const last = undoable.value;
  if (!last) return;
  withdraw(last.key);
  last.undo();
}

/** Whoever has just been at it may come back. */
export const waitAgain = () => offers.value.forEach(wait);

/** @param {Offer} offer */
function wait(offer) {
  clearTimeout(offer.timer);
  offer.timer = window.setTimeout(() => (document.querySelector(HELD) ? wait(offer) : end(offer)), OFFERED_FOR);
}

/** @param {Offer} offer */
function end({ key, over }) {
  withdraw(key);
  over?.();
}
