import { useEffect } from "preact/hooks";
import { newSession, openNeighbour } from "./app-state.js";
import { isComposing } from "./composing.js";
import { undo, undoable } from "./undo.js";

/** @param {{escape: () => void, showSearch: () => void}} actions */
export function useShortcuts({ escape, showSearch }) {
  useEffect(() => {
    const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
      const act = actionFor(event, escape, showSearch);
      if (!act || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      act();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, [escape, showSearch]);
}

/**
 * @param {KeyboardEvent} event
 * @param {() => void} escape
 * @param {() => void} showSearch
 */
function actionFor(event, escape, showSearch) {
  const { key, code, altKey, ctrlKey, metaKey, target } = event;
  if (isComposing(event)) return null;
  if (key === "Escape") return emptiesSearch(event) ? null : escape;
  if ((ctrlKey || metaKey) && code === "KeyK") return showSearch;
  if (isUndo(event)) return undoable.value && !hasText(event) ? undo : null;
  if (!altKey) return null;
  if (code === "KeyN") return newSession;
  if (target instanceof HTMLSelectElement) return null; // those keys open it
  if (key === "ArrowDown") return () => openNeighbour(1);
  if (key === "ArrowUp") return () => openNeighbour(-1);
  return null;
}

/**
 * By its letter, which is not everywhere in the same place; where there are other letters, by its place.
 * @param {KeyboardEvent} event
 */
function isUndo({ key, code, ctrlKey, metaKey, altKey, shiftKey }) {
  const isZ = key.toLowerCase() === "z" || (code === "KeyZ" && key > "\x7f");
  return isZ && (ctrlKey || metaKey) && !altKey && !shiftKey;
}

/** Then the browser undoes what was typed. @param {KeyboardEvent} event */
function hasText({ target }) {
  const isField = target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement;
  return isField && target.selectionEnd !== null && target.value !== "";
}

/** @param {KeyboardEvent} event */
function emptiesSearch({ target }) {
  return target instanceof HTMLInputElement && target.type === "search" && target.value !== "";
}
