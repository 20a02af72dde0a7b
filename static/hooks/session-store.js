import { computed, signal } from "@preact/signals";
import {
  Backoff, Conversation, ProblemError, api, groupSiblings, isNotFound, newestBelow, pathTo, sleep,
  tabKeeper,
} from "../client/index.js";
import { Asking } from "./asking.js";
import { KEPT, cache } from "./kept.js";
import { once } from "./once.js";
import { reading } from "./reading.js";
import { changed } from "./session-list.js";
import { stop } from "./stopping.js";

/** @import { Accepted } from "../client/types.js" */
/** @import { Spoken } from "../client/conversation.js" */
/** @import { ReadingState } from "../client/follow.js" */
/** @import { Signal } from "@preact/signals" */

/**
 * @typedef {object} Hearing
 * @property {(message: Spoken, text: string) => void} [onText]
 * @property {(message: Spoken) => void} [onThinking]
 * @property {(message: Spoken) => void} [onEnd]
 */

const PAGE = 50;
const CACHED = 60; // messages in the browser's own cache
const KEEP_EVERY = 1_000;
const GO_ON =
  "Your last answer was cut off. Continue it from exactly where it stopped: begin with the very next word, and " +
  "do not repeat or introduce anything.";

/** One open session: what the server says of it, as signals, and what may be done in it. */
export class SessionStore {
  /**
   * @param {string} id
   * @param {object} options
   * @param {boolean} options.isNew the server cannot know it yet
   * @param {boolean} options.isExpected it is no surprise if the server does not know it
   * @param {(content: string) => Promise<unknown>} options.askElsewhere in a new session
   */
  constructor(id, { isNew, isExpected, askElsewhere }) {
    this.id = id;
    this.isNew = isNew;
    this.isExpected = isExpected;
    this.askElsewhere = askElsewhere;
    this.openedAt = Date.now();
    this.asking = new Asking(id, (accepted) => this.accept(accepted));
    this.conversation = new Conversation({
      onMessage: (message) => this.changed(message),
      onText: (message, text) => this.hearings.forEach((hearing) => hearing.onText?.(message, text)),
      onThinking: (message) => this.hearings.forEach((hearing) => hearing.onThinking?.(message)),
      onSession: ({ title, deleted }) => {
        if (title) this.title.value = title;
        if (deleted) this.beDeleted();
      },
      onDoubt: () => this.reload(),
    });
    /** @type {Set<Hearing>} */
    this.hearings = new Set();
    /** @type {Map<string, Signal<number>>} */
    this.revisions = new Map();
    this.structure = signal(0);
    this.leafName = `${KEPT}leaf:${id}`;
    /** The end of the branch that was in view before a reload, until it is there: what a browser has kept is older. */
    this.wanted = tabKeeper.getItem(this.leafName);
    /** The end of the branch in view. */
    this.leaf = signal(this.wanted);
    this.title = signal("");
    this.deleted = signal(false);
    /** Whether somebody came for a chat that is not there, or is not theirs. */
    this.missing = signal(false);
    this.loaded = signal(/** @type {"no" | "cached" | "yes"} */ ("no"));
    this.state = signal(/** @type {ReadingState | null} */ (null));
    this.path = computed(() => (this.structure.value, pathTo(this.conversation.messages, this.leaf.value)));
    this.siblings = computed(() => (this.structure.value, groupSiblings(this.conversation.messages)));
    this.active = signal(/** @type {Spoken[]} */ ([]));
    this.keeping = 0;
    this.loadingOlder = false;
    /** @type {Promise<void> | null} */
    this.reloading = null;
    this.leave = () => {};
    this.closing = new AbortController();
  }

  // Coming and going.

  async open() {
    const { name } = this.asking.outbox;
    addEventListener("storage", ({ key }) => key === name && this.asking.reread(), { signal: this.closing.signal });
    if (this.isNew) return this.beNew();
    const kept = await cache.history(this.id);
    if (this.closing.signal.aborted) return;
    if (kept) {
      this.conversation.load(kept);
      this.loaded.value = "cached";
      this.join(kept.cursor);
    } else {
      await this.reload();
    }
    this.asking.resume();
  }

  close() {
    this.keepNow();
    this.closing.abort();
    this.leave();
  }

  /** Read the newest page again, for as long as it takes. */
  reload() {
    this.reloading ??= this.loadNewest().finally(() => (this.reloading = null));
    return this.reloading;
  }

  async loadNewest() {
    const backoff = new Backoff();
    this.leave();
    while (!this.closing.signal.aborted) {
      try {
        const page = await api.history(this.id, { limit: PAGE });
        if (this.closing.signal.aborted) return;
        this.conversation.load(page);
        this.missing.value = false;
        this.loaded.value = "yes";
        return this.join(page.cursor);
      } catch (error) {
        if (isNotFound(error)) return this.beMissing();
        await this.waitFor(backoff.next(), error instanceof ProblemError ? error.code : undefined);
      }
    }
  }

  /**
   * @param {number} pause
   * @param {string} [refused]
   */
  async waitFor(pause, refused) {
    this.state.value = { phase: "waiting", way: "sse", retryIn: pause, refused };
    const over = new AbortController();
    reading.alarm.addEventListener("wake", () => over.abort(), { once: true, signal: over.signal });
    await sleep(pause, AbortSignal.any([this.closing.signal, over.signal]));
    over.abort();
  }

  beNew() {
    this.loaded.value = "yes";
    this.state.value = null;
  }

  /** The server knows nothing of it, so nothing of it is to be seen, and a question begins it anew. */
  beMissing() {
    const wasThere = this.conversation.cursor !== null;
    this.missing.value = wasThere || !(this.isExpected || this.asking.unsent.value.length);
    this.title.value = "";
    this.leave();
    this.conversation.clear();
    this.forget();
    this.beNew();
  }

  /** The server knows of it now: somebody else has begun it. */
  appear() {
    if (this.loaded.value === "yes" && this.conversation.cursor === null && !this.deleted.value) this.reload();
  }

  beDeleted() {
    this.deleted.value = true;
    this.asking.giveUp();
    this.forget();
  }

  forget() {
    clearTimeout(this.keeping);
    this.keeping = 0;
    cache.forgetHistory(this.id);
  }

  /** @param {string} cursor */
  join(cursor) {
    this.leave();
    this.leave = reading.join(this.id, cursor, {
      onEvents: (events) => {
        this.conversation.apply(events);
        this.keepSoon();
      },
      onReset: () => this.reload(),
      onState: (state) => this.onState(state),
    });
  }

  /** @param {ReadingState} state */
  onState(state) {
    if (state.phase === "gone" && !this.deleted.value) return this.beMissing();
    this.state.value = state;
    if (state.phase !== "live") return;
    this.loaded.value = "yes";
    this.asking.retry();
  }

  async loadOlder() {
    const oldest = this.conversation.messages.keys().next().value;
    if (this.loadingOlder || !this.conversation.hasMore || !oldest) return;
    this.loadingOlder = true;
    try {
      this.conversation.prepend(await api.history(this.id, { before: oldest, limit: PAGE }));
    } catch {
      // Scrolling further up asks again.
    } finally {
      this.loadingOlder = false;
    }
  }

  // What changed.

  /** @param {Spoken | null} message */
  changed(message) {
    const known = message && this.revisions.has(message.id);
    if (message) this.revision(message.id).value += 1;
    else for (const revision of this.revisions.values()) revision.value += 1;
    if (!known) this.restructure(message);
    this.noteActive();
    if (message?.role === "assistant" && message.status !== "streaming") {
      this.hearings.forEach((hearing) => hearing.onEnd?.(message));
    }
    this.keepSoon();
  }

  noteActive() {
    const active = [...this.conversation.messages.values()].filter((each) => each.status === "streaming");
    const before = this.active.value;
    if (active.length !== before.length || active.some((each, place) => each !== before[place])) {
      this.active.value = active;
    }
  }

  /** @param {Spoken | null} message */
  restructure(message) {
    const { messages } = this.conversation;
    // Others may ask in other branches while somebody reads, or edits, in this one.
    const isNext = message && (message.parent_id === this.leaf.value || message.id === this.wanted);
    if (isNext) this.leaf.value = message.id;
    else if (!messages.has(this.leaf.value ?? "")) this.leaf.value = [...messages.keys()].at(-1) ?? null;
    else this.leaf.value = newestBelow(messages, /** @type {string} */ (this.leaf.value));
    this.structure.value += 1;
    if (this.wanted === null || messages.has(this.wanted)) this.keepLeaf();
  }

  /** For a reload. */
  keepLeaf() {
    this.wanted = null;
    if (this.leaf.value === null) tabKeeper.removeItem(this.leafName);
    else tabKeeper.setItem(this.leafName, this.leaf.value);
  }

  /** @param {string} id */
  revision(id) {
    const known = this.revisions.get(id) ?? signal(0);
    this.revisions.set(id, known);
    return known;
  }

  /** @param {Hearing} hearing */
  hear(hearing) {
    this.hearings.add(hearing);
    return () => void this.hearings.delete(hearing);
  }

  keepSoon() {
    this.keeping ||= window.setTimeout(() => this.keepNow(), KEEP_EVERY);
  }

  keepNow() {
    clearTimeout(this.keeping);
    this.keeping = 0;
    const { messages, cursor, hasMore } = this.conversation;
    if (cursor === null || this.deleted.value) return;
    const newest = [...messages.values()].slice(-CACHED);
    cache.keepHistory(this.id, { messages: newest, cursor, has_more: hasMore || messages.size > CACHED });
  }

  /** @param {string} sibling */
  show(sibling) {
    this.leaf.value = newestBelow(this.conversation.messages, sibling);
    this.keepLeaf();
  }

  // Asking.

  /**
   * Where somebody else has deleted it meanwhile, what was typed begins another one.
   * @param {string} content
   * @param {string | null} [parent] if left out, what is on its way, or else the end of the branch in view
   */
  send(content, parent = this.asking.isWaiting ? null : this.leaf.value) {
    return this.deleted.value ? this.askElsewhere(content) : this.asking.send(content, parent);
  }

  /**
   * Have an answer that was cut short go on where it stopped, by whoever wrote it.
   * @param {Spoken} answer
   */
  goOn({ id, provider, model }) {
    return once(`go on ${id}`, () => this.asking.send(GO_ON, id, { provider, model }));
  }

  /** @param {Accepted} accepted */
  accept(accepted) {
    if (this.closing.signal.aborted) return changed(); // another chat is in view by now
    this.missing.value = false;
    if (this.conversation.cursor !== null) {
      this.conversation.accept(accepted);
      return this.show(accepted.message.id);
    }
    const { user_message, message, cursor } = accepted;
    if (user_message.parent_id !== null) return this.reload(); // something was said before
    this.conversation.load({ messages: [user_message, { ...message, seenAt: Date.now() }], cursor, has_more: false });
    this.join(cursor);
    changed();
  }

  /** @param {Spoken[]} [answers] if left out, what is being written, and what waits for it */
  stop(answers = this.active.value) {
    return stop(answers.map((message) => message.id));
  }
}
