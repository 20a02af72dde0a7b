import { signal } from "@preact/signals";

const OFFERED_FOR = 6_000;

/** What was done last that can be taken back. */
export const undoable = signal(/** @type {{what: string, undo: () => void} | null} */ (null));

let timer = 0;

/**
 * @param {string} what was done, as a sentence
 * @param {() => void} undo
 */
export function offerUndo(what, undo) {
  const take = () => {
    undoable.value = null;
    undo();
  };
  undoable.value = { what, undo: take };
  clearTimeout(timer);
  timer = window.setTimeout(() => (undoable.value = null), OFFERED_FOR);
}
