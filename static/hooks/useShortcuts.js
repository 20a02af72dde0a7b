import { useEffect } from "preact/hooks";
import { newSession, openNeighbour } from "./app-state.js";

/** @param {{stop: () => void, showSearch: () => void}} actions */
export function useShortcuts({ stop, showSearch }) {
  useEffect(() => {
    const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
      const act = actionFor(event, stop, showSearch);
      if (!act || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      act();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, [stop, showSearch]);
}

/**
 * @param {KeyboardEvent} event
 * @param {() => void} stop
 * @param {() => void} showSearch
 */
function actionFor(event, stop, showSearch) {
  const { key, code, altKey, ctrlKey, metaKey } = event;
  // In the search field it empties that.
  if (key === "Escape") return document.activeElement?.id === "search" ? null : stop;
  if ((ctrlKey || metaKey) && code === "KeyK") return () => search(showSearch);
  if (!altKey) return null;
  if (code === "KeyN") return newSession;
  if (key === "ArrowDown") return () => openNeighbour(1);
  if (key === "ArrowUp") return () => openNeighbour(-1);
  return null;
}

/** @param {() => void} showSearch */
function search(showSearch) {
  showSearch();
  document.getElementById("search")?.focus();
}
