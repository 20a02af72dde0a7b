import { useEffect, useRef } from "preact/hooks";
import { announce } from "./announcer.js";
import { html } from "./html.js";

/** @import { SessionStore } from "../hooks/session-store.js" */
/** @import { Spoken } from "../client/conversation.js" */

/**
 * A model's reasoning, folded; its summary shows that it is alive.
 * @param {{session: SessionStore, message: Spoken}} props
 */
export function Thinking({ session, message }) {
  const text = useRef(/** @type {HTMLDivElement | null} */ (null));
  const summary = useRef(/** @type {HTMLSpanElement | null} */ (null));
  const isAlive = message.status === "streaming" && !message.content;

  useEffect(() => {
    if (isAlive) announce("Thinking.");
  }, [message.id]);
  useEffect(() => {
    const show = () => {
      extend(/** @type {HTMLDivElement} */ (text.current), message.thinking ?? "");
      if (summary.current) summary.current.textContent = isAlive ? lastWords(message.thinking ?? "") : "";
    };
    show();
    return session.hear({ onThinking: (spoken) => spoken.id === message.id && show() });
  }, [session, message, isAlive]);

  return html`<details class=${isAlive ? "thinking alive" : "thinking"}>
    <summary>${isAlive ? "Thinking" : "Thoughts"} <span class="glimpse" ref=${summary} aria-hidden="true" /></summary>
    <div class="thoughts" dir="auto" ref=${text} />
  </details>`;
}

/**
 * Append what is new; begin again if it does not go on from what is there.
 * @param {HTMLElement} element
 * @param {string} text
 */
function extend(element, text) {
  if (!(element.firstChild instanceof Text)) element.replaceChildren("");
  const node = /** @type {Text} */ (element.firstChild);
  if (text.startsWith(node.data)) node.appendData(text.slice(node.length));
  else node.data = text;
}

/** @param {string} text */
function lastWords(text) {
  return text.slice(-160).replace(/\s+/g, " ").replace(/^\S*\s/, "").slice(-90);
}
