import { signal } from "@preact/signals";
import { ProblemError, isUnauthorized } from "../client/index.js";
import { signedOut } from "./owner.js";
import { wordsFor } from "./words.js";

const SHOWN_FOR = 6_000;

/** What went wrong last with something that somebody asked for; null when there is nothing to say. */
export const trouble = signal(/** @type {{text: string, code?: string} | null} */ (null));

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
    if (isUnauthorized(error)) signedOut.value = true;
    const code = error instanceof ProblemError ? error.code : undefined;
    trouble.value = { text: `${failure} ${wordsFor(error)}`, code };
    clearTimeout(timer);
    timer = window.setTimeout(() => (trouble.value = null), SHOWN_FOR);
  }
}
