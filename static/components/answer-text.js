import { useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { behind, caughtUp, paused } from "../hooks/playback.js";
import { speed, useStreaming } from "../hooks/preferences.js";
import { SentenceReader, announce } from "./announcer.js";
import { html } from "./html.js";
import { MarkdownView } from "./markdown/markdown-view.js";
import { Pacer } from "./pacer.js";

/** @import { SessionStore } from "../hooks/session-store.js" */
/** @import { Spoken } from "../client/conversation.js" */

/**
 * The text of an answer. While it is written, what arrives goes straight into the DOM, past Preact: a piece costs
 * the same at the end of a long answer as at its beginning.
 * @param {{session: SessionStore, message: Spoken}} props
 */
export function AnswerText({ session, message }) {
  const root = useRef(/** @type {HTMLDivElement | null} */ (null));
  const writing = useRef(/** @type {Writing | null} */ (null));
  const { content, status } = message;

  useEffect(() => () => writing.current?.stop(), [message.id]);
  useEffect(() => {
    const element = /** @type {HTMLDivElement} */ (root.current);
    if (!writing.current?.continues(content)) {
      writing.current?.stop();
      writing.current = new Writing(element, message, session.openedAt);
    }
    writing.current.settle(message);
    if (status !== "streaming") return;
    return session.hear({ onText: (spoken, text) => spoken.id === message.id && writing.current?.push(text) });
  }, [session, message, status]);
  useSignalEffect(() => {
    writing.current?.pace(paused.value || !useStreaming.value, speed.value);
  });
  useSignalEffect(() => {
    if (caughtUp.value) writing.current?.pacer.catchUp();
  });
  return html`<div class="markdown" dir="auto" ref=${root} />`;
}

/** One answer being written into its element. */
class Writing {
  /**
   * @param {HTMLElement} element
   * @param {Spoken} message
   * @param {number} since when its reader came
   */
  constructor(element, message, since) {
    const isLive = message.status === "streaming";
    const sentences = new SentenceReader((text) => this.speaks && announce(text));
    this.element = element;
    this.received = message.content;
    this.view = new MarkdownView(element, (text, isWhole) => sentences.read(text, isWhole));
    this.pacer = new Pacer((text) => this.show(text), () => this.finish());
    this.speaks = isLive && (message.seenAt ?? 0) >= since; // what was there before its reader came is not news
    this.view.write(message.content);
    this.speaks = isLive;
    element.toggleAttribute("data-writing", isLive);
    this.pace(paused.peek() || !useStreaming.peek(), speed.peek());
  }

  /**
   * Whether `content` only goes on from what was received: then nothing has to be written again.
   * @param {string} content
   */
  continues(content) {
    return content.startsWith(this.received);
  }

  /** @param {Spoken} message as it is now; some of its text may not have come piece by piece */
  settle({ content, status }) {
    if (content.length > this.received.length) this.push(content.slice(this.received.length));
    if (status === "streaming") return;
    if (!useStreaming.peek()) this.pacer.set("now", false);
    this.pacer.finish();
  }

  /** @param {string} text */
  push(text) {
    this.received += text;
    behind.value += text.length;
    this.pacer.push(text);
  }

  /** @param {string} text */
  show(text) {
    behind.value -= text.length;
    this.view.write(text);
  }

  /**
   * @param {boolean} held
   * @param {import("../hooks/preferences.js").Speed} rate
   */
  pace(held, rate) {
    this.pacer.set(rate, held && this.speaks);
  }

  finish() {
    if (this.view.ended) return;
    this.view.end();
    this.element.removeAttribute("data-writing");
    if (!this.speaks) return;
    announce("The answer has ended.");
    this.speaks = false;
  }

  stop() {
    this.pacer.stop();
    this.view.stop();
    behind.value -= this.pacer.waiting.length;
  }
}
