import { useEffect, useRef, useState } from "preact/hooks";
import { browserKeeper } from "../client/index.js";
import { isComposing } from "../hooks/composing.js";
import { KEPT } from "../hooks/kept.js";
import { catchUp, paused } from "../hooks/playback.js";
import { COMPOSER, focusComposer, isTouched } from "./composer-focus.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";
import { ModelPicker } from "./model-picker.js";
import { PassingButton } from "./passing-button.js";
import { Progress } from "./progress.js";
import { WhenBusy } from "./when-busy.js";

/** @import { SessionStore } from "../hooks/session-store.js" */

/** @param {string} session */
const draftKey = (session) => `${KEPT}draft:${session}`;

/** @param {{session: SessionStore}} props */
export function Composer({ session }) {
  const [text, setText] = useDraft(session.id);
  const area = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const isBusy = session.active.value.length > 0;
  useEffect(focusComposer, [session.id]);
  const send = () => {
    if (!text.trim()) return;
    if (paused.value) catchUp(); // who asks wants to see what comes
    session.send(text);
    setText("");
    area.current?.focus();
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    // The keyboards of phones have no Shift and Enter for another line.
    if (event.key !== "Enter" || event.shiftKey || isComposing(event) || isTouched()) return;
    event.preventDefault();
    send();
  };
  const onSubmit = (/** @type {Event} */ event) => {
    event.preventDefault();
    send();
  };
  return html`<form class="composer" onSubmit=${onSubmit}>
    <${Progress} session=${session} />
    <div class="field">
      <textarea id=${COMPOSER} ref=${area} rows="1" dir="auto" aria-label="Your question" placeholder="Ask anything" value=${text}
        onInput=${(/** @type {any} */ event) => setText(event.target.value)} onKeyDown=${onKeyDown} />
      <div class="controls">
        <${ModelPicker} />
        ${isBusy && html`<${WhenBusy} />`}
        <span class="space" />
        ${isBusy &&
        html`<${PassingButton} class="round stop" onClick=${() => session.stop()} aria-label="Stop"
          title="Stop (Esc)"><${Icon} name="stop" /><//>`}
        <button type="submit" class="round primary" disabled=${!text.trim()} aria-label="Send" title="Send (Enter)">
          <${Icon} name="send" />
        </button>
      </div>
    </div>
  </form>`;
}

/**
 * What was typed here and not sent yet. It survives a reload; another tab of the same chat has a text of its own, of
 * which the last one typed is kept.
 * @param {string} session
 * @returns {[string, (text: string) => void]}
 */
function useDraft(session) {
  const key = draftKey(session);
  const [, render] = useState(0);
  const draft = useRef({ key: "", text: "" });
  if (draft.current.key !== key) draft.current = { key, text: browserKeeper.getItem(key) ?? "" };
  const keep = (/** @type {string} */ text) => {
    if (text) browserKeeper.setItem(key, text);
    else if (browserKeeper.getItem(key) === draft.current.text) browserKeeper.removeItem(key);
    draft.current = { key, text };
    render((count) => count + 1);
  };
  return [draft.current.text, keep];
}
