import { useEffect, useRef, useState } from "preact/hooks";
import { isComposing } from "../hooks/composing.js";
import { listedFor, searched } from "../hooks/session-list.js";
import { focusComposer } from "./composer-focus.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";

const PAUSE = 150; // between keys that is the end of a word

/** Searches the chats. The arrow goes down to the first one found, Enter opens it. */
export function ChatSearch() {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  const typing = useRef(0);
  const [pressed, setPressed] = useState(""); // a key that waits until the list is what is asked for
  const lookNow = () => {
    clearTimeout(typing.current);
    searched.value = field.current?.value.trim() ?? "";
  };
  const onInput = () => {
    setPressed("");
    clearTimeout(typing.current);
    typing.current = window.setTimeout(lookNow, PAUSE);
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    const isOurs = event.key === "ArrowDown" || (event.key === "Enter" && field.current?.value.trim());
    if (!isOurs || event.altKey || isComposing(event)) return;
    event.preventDefault();
    lookNow();
    setPressed(event.key);
  };
  useEffect(() => {
    if (!pressed || listedFor.value !== searched.value) return;
    setPressed("");
    goToFirst(pressed === "Enter");
  }, [pressed, listedFor.value]);
  return html`<label class="search"><${Icon} name="search" />
    <input type="search" id="search" ref=${field} placeholder="Search" aria-label="Search chats" onInput=${onInput}
      onKeyDown=${onKeyDown} onBlur=${() => setPressed("")} />
  </label>`;
}

/** @param {boolean} isOpened or else it only has the focus */
function goToFirst(isOpened) {
  const first = /** @type {HTMLAnchorElement | null} */ (document.querySelector(".sessions a"));
  if (!first) return;
  if (!isOpened) return first.focus();
  first.click();
  focusComposer();
}
