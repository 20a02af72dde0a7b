import { useEffect, useState } from "preact/hooks";
import { behind, catchUp, paused } from "../hooks/playback.js";
import { maxTokens, speed } from "../hooks/preferences.js";
import { stopping } from "../hooks/stopping.js";
import { useFocusPassedOn } from "./composer-focus.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";
import { PassingButton } from "./passing-button.js";

/** @import { Spoken } from "../client/conversation.js" */
/** @import { SessionStore } from "../hooks/session-store.js" */

const CHARACTERS_PER_TOKEN = 4; // until the provider counts
const SPEEDS = /** @type {const} */ (["now", "calm", "slow"]);
const SPEED_NAMES = { now: "as it comes", calm: "calm", slow: "slow" };

/**
 * How far the answer is, and how it is shown.
 * @param {{session: SessionStore}} props
 */
export function Progress({ session }) {
  const [answer] = session.active.value;
  const isBehind = behind.value > 200 || paused.value;
  if (!answer && !isBehind) return null;
  return html`<${Shown} answer=${answer} isBehind=${isBehind} />`;
}

/** @param {{answer: Spoken | undefined, isBehind: boolean}} props */
function Shown({ answer, isBehind }) {
  const whole = useFocusPassedOn();
  useTicking(Boolean(answer));
  return html`<div class="progress" ref=${whole}>
    <span class="amount">${answer ? stateOf(answer) : "All of it is here"}</span>
    ${answer && html`<span>${elapsed(beginning(answer))}</span>`}
    <span class="space" />
    ${isBehind &&
    html`<${PassingButton} class="quiet" onClick=${catchUp}><${Icon} name="skip" /> Catch up<//>`}
    <${SpeedSlider} />
    <button type="button" class="quiet" aria-pressed=${paused.value} onClick=${() => (paused.value = !paused.value)}>
      <${Icon} name=${paused.value ? "play" : "pause"} /> ${paused.value ? "Go on" : "Pause"}
    </button>
  </div>`;
}

function SpeedSlider() {
  const place = SPEEDS.indexOf(speed.value);
  const choose = (/** @type {any} */ event) => (speed.value = SPEEDS[Number(event.target.value)]);
  return html`<label class="speed">
    <span class="unseen">Reading speed</span>
    <input type="range" min="0" max="2" step="1" value=${place} onInput=${choose}
      aria-valuetext=${SPEED_NAMES[speed.value]} />
    <span aria-hidden="true">${SPEED_NAMES[speed.value]}</span>
  </label>`;
}

/** @param {Spoken} answer */
const stateOf = ({ id, length, thinking }) =>
  stopping.value.includes(id) ? "Stopping …" : amount(length + (thinking?.length ?? 0));

/** @param {number} characters */
function amount(characters) {
  if (!characters) return "Nothing yet";
  const tokens = Math.round(characters / CHARACTERS_PER_TOKEN).toLocaleString();
  return maxTokens.value ? `about ${tokens} of ${maxTokens.value.toLocaleString()} tokens` : `about ${tokens} tokens`;
}

/**
 * When an answer began, by the clock of this machine if it is known: the server's may be another.
 * @param {Spoken} answer
 */
const beginning = ({ seenAt, created_at }) => seenAt ?? Date.parse(created_at);

/** @param {number} since */
function elapsed(since) {
  const seconds = Math.max(0, Math.round((Date.now() - since) / 1_000));
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** @param {boolean} isOn */
function useTicking(isOn) {
  const [, tick] = useState(0);
  useEffect(() => {
    if (!isOn) return;
    const timer = setInterval(() => tick((count) => count + 1), 500);
    return () => clearInterval(timer);
  }, [isOn]);
}
