import { useEffect, useRef, useState } from "preact/hooks";
import { defaultProvider, providers } from "../hooks/app-state.js";
import { isComposing } from "../hooks/composing.js";
import { keys, model, provider, thinking } from "../hooks/preferences.js";
import { focusComposer } from "./composer-focus.js";
import { html } from "./html.js";

/** @import { Provider } from "../client/types.js" */

const BETWEEN = "\n";
const ANOTHER = "";

/** Who answers, and whether they think first. */
export function ModelPicker() {
  const chosen = providers.value.find((each) => each.id === (provider.value ?? defaultProvider.value));
  const chosenModel = model.value ?? chosen?.default_model ?? "";
  const known = chosen?.models.find((each) => each.id === chosenModel);
  const [naming, setNaming] = useState(/** @type {string | null} */ (null)); // a model of this provider
  const choose = (/** @type {any} */ event) => {
    const [by, id] = event.target.value.split(BETWEEN);
    if (id === ANOTHER) return setNaming(by);
    provider.value = by;
    model.value = id;
  };
  const named = (/** @type {string} */ name) => {
    provider.value = naming;
    model.value = name || null;
  };
  if (naming !== null) return html`<${ModelName} onNamed=${named} onDone=${() => setNaming(null)} />`;
  return html`
    <select class="quiet model" aria-label="Model" value=${[chosen?.id, chosenModel].join(BETWEEN)} onChange=${choose}>
      ${providers.value.map((each) => html`<${Models} key=${each.id} of=${each} also=${also(each, chosenModel)} />`)}
    </select>
    ${known?.thinking !== false &&
    html`<label class="switch"><input type="checkbox" checked=${thinking.value}
      onChange=${(/** @type {any} */ event) => (thinking.value = event.target.checked)} /> Think</label>`}
  `;
}

/**
 * A chosen model that is not in the provider's list.
 * @param {Provider} from
 * @param {string} chosen
 */
function also(from, chosen) {
  const isOurs = from.id === (provider.value ?? defaultProvider.value);
  return isOurs && chosen && !from.models.some((each) => each.id === chosen) ? chosen : null;
}

/** @param {{of: Provider, also: string | null}} props */
function Models({ of, also }) {
  const isReady = of.ready || Boolean(keys.value[of.id]);
  const ids = new Set([...of.models.map((each) => each.id), of.default_model, also].filter(Boolean));
  return html`<optgroup label=${isReady ? of.name : `${of.name} (needs a key)`} disabled=${!isReady}>
    ${[...ids].map((id) => html`<option key=${id} value=${[of.id, id].join(BETWEEN)}>${id}</option>`)}
    ${of.accepts_any_model && html`<option value=${[of.id, ANOTHER].join(BETWEEN)}>Another model …</option>`}
  </optgroup>`;
}

/** @param {{onNamed: (name: string) => void, onDone: () => void}} props */
function ModelName({ onNamed, onDone }) {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => field.current?.focus(), []);
  const isOver = useRef(false); // it loses the focus once more while it goes
  const finish = (/** @type {boolean} */ isNamed) => {
    if (isOver.current) return;
    isOver.current = true;
    if (isNamed && field.current) onNamed(field.current.value.trim());
    onDone();
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (isComposing(event) || (event.key !== "Enter" && event.key !== "Escape")) return;
    event.preventDefault();
    event.stopPropagation();
    finish(event.key === "Enter");
    focusComposer();
  };
  return html`<input class="model-name" ref=${field} aria-label="Name of the model" placeholder="Name of the model"
    maxlength="200" autocapitalize="off" spellcheck="false" onKeyDown=${onKeyDown} onBlur=${() => finish(true)} />`;
}
