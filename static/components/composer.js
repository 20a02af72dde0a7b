import { useEffect, useRef, useState } from "preact/hooks";
import { KEPT } from "../hooks/kept.js";
import { COMPOSER } from "./composer-focus.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";
import { ModelPicker } from "./model-picker.js";
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
  useEffect(() => area.current?.focus(), [session.id]);
  const send = () => {
    if (!text.trim()) return;
    session.send(text);
    setText("");
    area.current?.focus();
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
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
        html`<button type="button" class="round stop" onClick=${() => session.stop()} aria-label="Stop"
          title="Stop (Esc)"><${Icon} name="stop" /></button>`}
        <button type="submit" class="round primary" disabled=${!text.trim()} aria-label="Send" title="Send (Enter)">
          <${Icon} name="send" />
        </button>
      </div>
    </div>
  </form>`;
}

/**
 * What was typed and not sent yet. It survives a reload.
 * @param {string} session
 * @returns {[string, (text: string) => void]}
 */
function useDraft(session) {
  const [, render] = useState(0);
  const draft = localStorage.getItem(draftKey(session)) ?? "";
  const keep = (/** @type {string} */ text) => {
    if (text) localStorage.setItem(draftKey(session), text);
    else localStorage.removeItem(draftKey(session));
    render((count) => count + 1);
  };
  return [draft, keep];
}
