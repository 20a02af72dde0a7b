import { useEffect, useState } from "preact/hooks";
import { probe, socketUrl, verdict } from "../client/index.js";
import { preferWebSocket } from "../hooks/preferences.js";
import { ladder, reading } from "../hooks/reading.js";
import { useWebSocket } from "../hooks/useWebSocket.js";
import { Dialog } from "./dialog.js";
import { html } from "./html.js";
import { Switch } from "./settings-dialog.js";

/** @import { SessionStore } from "../hooks/session-store.js" */

/** @typedef {"testing" | "streams" | "held back" | "incomplete" | "failed"} Finding */

const WAYS = {
  sse: "Server-Sent Events: the text comes as it is written.",
  ndjson: "A streamed response: the text comes as it is written.",
  poll: "Long polling: the text comes in steps.",
  sparing: "Now and then: this browser reads several chats at once.",
  websocket: "WebSocket: the text comes as it is written.",
};

/** @type {Record<Finding, string>} */
const FINDINGS = {
  testing: "testing …",
  streams: "arrives piece by piece",
  "held back": "is held back by something between you and the server",
  incomplete: "breaks off on the way",
  failed: "does not get through",
};

/** @param {{session: SessionStore, onClose: () => void}} props */
export function ConnectionPanel({ session, onClose }) {
  const [run, setRun] = useState(0);
  const findings = useProbes(run);
  const state = session.state.value;
  const again = () => {
    ladder.forget();
    reading.restart();
    setRun(run + 1);
  };
  return html`<${Dialog} title="Connection" onClose=${onClose}>
    <p>${state ? WAYS[state.way] : "Nothing is being read yet."}</p>
    ${state?.heldBack &&
    html`<p>Something between you and the server holds data back, so this page reads ${
      state.way === "poll" ? "in steps" : "in another way"
    }. Nothing is lost.</p>`}
    <dl class="findings" aria-live="polite">
      <div><dt>Server-Sent Events</dt><dd>${FINDINGS[findings.sse]}</dd></div>
      <div><dt>Streamed response</dt><dd>${FINDINGS[findings.ndjson]}</dd></div>
      ${session.path.value.length > 0 && html`<${WebSocketFinding} session=${session} />`}
    </dl>
    <p class="hint">${advice(findings)}</p>
    <${Switch} label="Use a WebSocket" value=${preferWebSocket} />
    <div class="buttons"><button type="button" onClick=${again}>Test again</button></div>
  <//>`;
}

/** @param {{session: SessionStore}} props */
function WebSocketFinding({ session }) {
  const [cursor] = useState(session.conversation.cursor); // with one, a socket does not create what is gone
  const { isConnected } = useWebSocket({ url: socketUrl(session.id, cursor) });
  return html`<div><dt>WebSocket</dt><dd>${isConnected ? "connects" : "does not connect (yet)"}</dd></div>`;
}

/** @param {Record<"sse" | "ndjson", Finding>} findings */
function advice({ sse, ndjson }) {
  if (sse === "testing" || ndjson === "testing") return "The test takes two seconds.";
  if (sse === "streams") return "All is well: answers can arrive word by word.";
  if (ndjson === "streams") return "One way is blocked; this page uses the other by itself.";
  if (sse === "failed" && ndjson === "failed") return "The server cannot be reached now, or does not answer.";
  return "Answers arrive in steps here. A WebSocket may do better, if it connects.";
}

/** @param {number} run a new number tests again */
function useProbes(run) {
  const [findings, setFindings] = useState({ sse: /** @type {Finding} */ ("testing"), ndjson: /** @type {Finding} */ ("testing") });
  useEffect(() => {
    const leaving = new AbortController();
    setFindings({ sse: "testing", ndjson: "testing" });
    for (const format of /** @type {const} */ (["sse", "ndjson"])) {
      find(format, leaving.signal).then((found) => {
        if (!leaving.signal.aborted) setFindings((others) => ({ ...others, [format]: found }));
      });
    }
    return () => leaving.abort();
  }, [run]);
  return findings;
}

/**
 * @param {"sse" | "ndjson"} format
 * @param {AbortSignal} signal
 * @returns {Promise<Finding>}
 */
async function find(format, signal) {
  try {
    return verdict(await probe(format, AbortSignal.any([signal, AbortSignal.timeout(8_000)])));
  } catch {
    return "failed";
  }
}
