import { countCharacters, sha256 } from "./proof.js";

/** @import { Accepted, History, LogEvent, Message } from "./types.js" */

/**
 * @typedef {Message & {retrying?: Retrying | null, seenAt?: number}} Spoken
 *   a message, and what is known only while it is being written; `seenAt` is when it was seen to begin, in
 *   milliseconds by the clock of this machine
 *
 * @typedef {object} Retrying
 * @property {number} attempt the one that failed
 * @property {string} title why
 * @property {boolean} elsewhere whether another provider or model is asked now
 *
 * @typedef {object} Changes
 * @property {(message: Spoken | null) => void} onMessage a message came, changed, began to think or to speak, or
 *   ended; null: all of them did
 * @property {(message: Spoken, text: string) => void} onText text was appended to an answer
 * @property {(message: Spoken) => void} onThinking
 * @property {(fields: {title?: string, deleted?: boolean}) => void} onSession
 * @property {(why: string) => void} onDoubt the text cannot be proved: read the history again
 */

/** A session's messages, from its history and the events behind it. */
export class Conversation {
  /** @param {Changes} changes */
  constructor(changes) {
    this.changes = changes;
    /** @type {Map<string, Spoken>} in the order in which they were said */
    this.messages = new Map();
    /** @type {string | null} */
    this.cursor = null;
    this.hasMore = false;
    /** Whether the text cannot be proved: nothing counts until the history is read again. */
    this.inDoubt = false;
  }

  /** @param {Omit<History, "messages"> & {messages: Spoken[]}} history the newest page; what is older and known already is kept */
  load({ messages, cursor, has_more }) {
    const known = [...this.messages.values()];
    const first = known.findIndex((message) => message.id === messages[0]?.id);
    const older = first > 0 && has_more ? known.slice(0, first) : [];
    this.hasMore = older.length ? this.hasMore : has_more;
    for (const message of messages) this.recognise(message);
    this.messages = new Map([...older, ...messages].map((message) => [message.id, message]));
    this.cursor = cursor;
    this.inDoubt = false;
    this.changes.onMessage(null);
  }

  clear() {
    this.messages = new Map();
    this.cursor = null;
    this.hasMore = false;
    this.changes.onMessage(null);
  }

  /** @param {Spoken} message as it is read again */
  recognise(message) {
    message.seenAt = this.messages.get(message.id)?.seenAt ?? message.seenAt;
  }

  /** @param {History} history the page before the oldest known message */
  prepend({ messages, has_more }) {
    this.messages = new Map([...messages, ...this.messages.values()].map((message) => [message.id, message]));
    this.hasMore = has_more;
    this.changes.onMessage(null);
  }

  /** @param {Accepted} accepted the answer to our own question, which may come before or after its events */
  accept({ user_message, message }) {
    for (const each of [user_message, message]) {
      if (!this.messages.has(each.id)) this.put({ ...each, seenAt: Date.now() });
    }
  }

  /** @param {LogEvent[]} events that come directly after the cursor */
  apply(events) {
    for (const event of events) {
      if (this.inDoubt) return;
      HANDLERS[event.type]?.(this, event);
      this.cursor = event.id;
    }
  }

  /** @param {Spoken} message */
  put(message) {
    this.messages.set(message.id, message);
    this.changes.onMessage(message);
  }

  /**
   * @param {Spoken} message
   * @param {LogEvent} event
   */
  append(message, event) {
    if (message.status !== "streaming") return;
    if (event.offset !== message.length) return this.doubt(`offset ${event.offset}, have ${message.length}`);
    const isFirst = !message.content;
    message.content += event.content;
    message.length += countCharacters(event.content);
    message.retrying = null;
    this.changes.onText(message, event.content);
    if (isFirst) this.changes.onMessage(message);
  }

  /**
   * @param {Spoken} message
   * @param {Partial<Spoken>} end
   * @param {LogEvent} event
   */
  finish(message, end, event) {
    const { content, length } = message;
    Object.assign(message, end, { retrying: null, finished_at: event.timestamp });
    this.changes.onMessage(message);
    this.prove(content, length, event);
  }

  /**
   * @param {string} content
   * @param {number} length
   * @param {LogEvent} event
   */
  async prove(content, length, event) {
    if (length !== event.length) return this.doubt(`length ${length}, should be ${event.length}`);
    const digest = await sha256(content);
    if (digest !== null && digest !== event.sha256) this.doubt("the digest differs");
  }

  /** @param {string} why */
  doubt(why) {
    this.inDoubt = true;
    this.changes.onDoubt(why);
  }
}

/**
 * @param {LogEvent} event
 * @returns {Spoken}
 */
function begun(event) {
  const { message_id, parent_id, provider, model, timestamp } = event;
  return {
    id: message_id, session_id: "", parent_id, role: "assistant", status: "streaming", content: "", length: 0,
    sha256: "", thinking: null, sources: [], provider, model, finish_reason: null, usage: null, timings: null,
    error: null, created_at: timestamp, finished_at: null, seenAt: Date.now(),
  };
}

/**
 * What each type of event does. An event about a message that is not known belongs to an older page: its end will
 * be read with that page.
 * @type {Record<string, (conversation: Conversation, event: LogEvent) => void>}
 */
const HANDLERS = {
  posted: (conversation, { message }) => {
    if (!conversation.messages.has(message.id)) conversation.put(message);
  },
  start: (conversation, event) => {
    const known = conversation.messages.get(event.message_id);
    conversation.put(known ? Object.assign(known, { seenAt: Date.now() }) : begun(event));
  },
  thinking: about((message, event, conversation) => {
    const isFirst = !message.thinking;
    message.thinking = (message.thinking ?? "") + event.content;
    message.retrying = null;
    conversation.changes.onThinking(message);
    if (isFirst) conversation.changes.onMessage(message);
  }),
  chunk: about((message, event, conversation) => conversation.append(message, event)),
  sources: about((message, event, conversation) => {
    message.sources = [...message.sources, ...event.sources];
    conversation.changes.onMessage(message);
  }),
  retrying: about((message, { attempt, problem, provider, model }, conversation) => {
    const elsewhere = provider !== message.provider || model !== message.model;
    const retrying = { attempt, title: problem.title, elsewhere };
    Object.assign(message, { thinking: null, retrying, provider, model }); // the next attempt thinks anew
    conversation.changes.onMessage(message);
  }),
  complete: about((message, event, conversation) => {
    const { status, finish_reason, provider, model, usage, timings } = event;
    conversation.finish(message, { status, finish_reason, provider, model, usage, timings }, event);
  }),
  error: about((message, event, conversation) => {
    conversation.finish(message, { status: event.status, error: event.problem }, event);
  }),
  session: (conversation, { title, deleted }) => conversation.changes.onSession({ title, deleted }),
};

/** @param {(message: Spoken, event: LogEvent, conversation: Conversation) => void} handle */
function about(handle) {
  return (/** @type {Conversation} */ conversation, /** @type {LogEvent} */ event) => {
    const message = conversation.messages.get(event.message_id);
    if (message && message.status === "streaming") handle(message, event, conversation);
  };
}
