import { providers } from "../hooks/app-state.js";
import * as preferences from "../hooks/preferences.js";
import { Dialog } from "./dialog.js";
import { html } from "./html.js";

/** @import { Signal } from "@preact/signals" */

const SHORTCUTS = [
  ["Send", "Enter"],
  ["New line", "Shift Enter"],
  ["Stop", "Esc"],
  ["New chat", "Alt N"],
  ["Search", "Ctrl K"],
  ["Undo a deletion", "Ctrl Z"],
  ["Next, previous chat", "Alt ↓, Alt ↑"],
];

/** @param {{onClose: () => void}} props */
export function SettingsDialog({ onClose }) {
  return html`<${Dialog} title="Settings" onClose=${onClose}>
    <section>
      <h3>Looks</h3>
      <${Choice} label="Colours" value=${preferences.theme}
        options=${{ system: "System", light: "Light", dark: "Dark" }} />
      <${Switch} label="Show answers while they are written" value=${preferences.useStreaming} />
    </section>
    <section>
      <h3>Answers</h3>
      <${Choice} label="A question sent during an answer" value=${preferences.whenBusy}
        options=${{ enqueue: "waits for it", interrupt: "interrupts it" }} />
      <label class="row">Most tokens an answer may have
        <input type="number" min="1" max="10000000" placeholder="no limit" value=${preferences.maxTokens.value ?? ""}
          onChange=${limit} />
      </label>
    </section>
    <${Keys} />
    <section>
      <h3>Keyboard</h3>
      <dl class="shortcuts">
        ${SHORTCUTS.map(([what, key]) => html`<div key=${what}><dt>${what}</dt><dd><kbd>${key}</kbd></dd></div>`)}
      </dl>
    </section>
  <//>`;
}

function Keys() {
  const set = (/** @type {string} */ id) => (/** @type {any} */ event) =>
    preferences.setKey(id, event.target.value.trim());
  const needing = providers.value.filter((each) => each.id !== "demo");
  return html`<section>
    <h3>Your own keys</h3>
    <p class="hint">Sent with your questions, never kept on the server. They are forgotten with this tab, unless you
      choose otherwise.</p>
    ${needing.map(
      (each) => html`<label class="row" key=${each.id}>${each.name}
        <input type="password" autocomplete="off" spellcheck="false" value=${preferences.keys.value[each.id] ?? ""}
          placeholder=${each.ready ? "the server has one" : "none"} onChange=${set(each.id)} />
      </label>`,
    )}
    <${Switch} label="Keep them in this browser" value=${preferences.keepKeys} onChoose=${preferences.setKeepKeys} />
  </section>`;
}

/** @param {{label: string, value: Signal<any>, options: Record<string, string>}} props */
function Choice({ label, value, options }) {
  const choose = (/** @type {any} */ event) => (value.value = event.target.value);
  return html`<label class="row">${label}
    <select value=${value.value} onChange=${choose}>
      ${Object.entries(options).map(([id, name]) => html`<option key=${id} value=${id}>${name}</option>`)}
    </select>
  </label>`;
}

/** @param {{label: string, value: Signal<boolean>, onChoose?: (isOn: boolean) => void}} props */
export function Switch({ label, value, onChoose = (isOn) => (value.value = isOn) }) {
  return html`<label class="row">${label}
    <input type="checkbox" role="switch" checked=${value.value}
      onChange=${(/** @type {any} */ event) => onChoose(event.target.checked)} />
  </label>`;
}

/** What is no number of tokens is no limit, and does not stay. @param {Event} event */
function limit({ target }) {
  const field = /** @type {HTMLInputElement} */ (target);
  preferences.maxTokens.value = wholeNumber(field.value);
  field.value = String(preferences.maxTokens.value ?? "");
}

/** @param {string} text */
function wholeNumber(text) {
  const number = Math.floor(Number(text));
  return number >= 1 ? Math.min(number, 10_000_000) : null;
}
