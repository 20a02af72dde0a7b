import { signal } from "@preact/signals";

/** What this viewer sees of an answer while it is written. The answer itself goes on regardless. */
export const paused = signal(false);

/** How many characters have arrived and are not shown yet. */
export const behind = signal(0);

/** Goes up when everything that waits is to be shown at once. */
export const caughtUp = signal(0);

export function catchUp() {
  paused.value = false;
  caughtUp.value += 1;
}
