import { signal } from "@preact/signals";
import { sentenceOf } from "../client/index.js";

const SHOWN_FOR = 6_000;

/** What went wrong last with something that somebody asked for; null when there is nothing to say. */
export const trouble = signal(/** @type {string | null} */ (null));

let timer = 0;

/**
 * Do it, and say so if it fails.
 * @param {string} failure what to say, in front of the reason
 * @param {() => Promise<unknown>} act
 */
export async function trying(failure, act) {
  try {
    await act();
  } catch (error) {
    trouble.value = `${failure} ${sentenceOf(error)}`;
    clearTimeout(timer);
    timer = window.setTimeout(() => (trouble.value = null), SHOWN_FOR);
  }
}
