import { signal } from "@preact/signals";
import { Outbox, ProblemError, api, browserKeeper, isPassing, isUnauthorized, newId } from "../client/index.js";
import { KEPT } from "./kept.js";
import { once } from "./once.js";
import { confirmed, signedOut } from "./owner.js";
import * as preferences from "./preferences.js";
import { deleteAgain, lookSoon, undoRemove, wasDeleted } from "./session-list.js";
import { trying } from "./trouble.js";
import { noteUnsent } from "./unsent.js";
import { wordsFor } from "./words.js";

/** @import { Accepted, Question } from "../client/types.js" */
/** @import { Unsent } from "../client/outbox.js" */

/** Everything that may be asked of a session, so that no question is lost on its way. */
export class Asking {
  /**
   * @param {string} session
   * @param {(accepted: Accepted) => void} onAccepted
   */
  constructor(session, onAccepted) {
    this.session = session;
    this.onAccepted = onAccepted;
    this.outbox = new Outbox(browserKeeper, session, KEPT);
    this.unsent = signal(this.outbox.all());
    this.turn = Promise.resolve();
  }

  /**
   * @param {string} content
   * @param {string | null} parent the message it goes on from; null: the newest one; `root`: none
   * @param {Partial<Question>} [otherwise] what is not as the user has chosen
   */
  send(content, parent, otherwise) {
    const question = { content, parent_id: parent, ...how(), ...otherwise };
    undoRemove(this.session); // who asks in it wants it
    return this.inTurn({ key: newId(), question, status: "sending", at: Date.now() });
  }

  /** Whether a question is still on its way: its answer will be the newest message. */
  get isWaiting() {
    return this.unsent.value.some(({ status, passing }) => status === "sending" || passing);
  }

  /**
   * One after the other, as they were asked: the next may go on from the answer to this one.
   * @param {Unsent} unsent
   */
  inTurn(unsent) {
    const sending = { ...unsent, status: /** @type {const} */ ("sending"), passing: false };
    this.note(sending);
    this.turn = this.turn.then(() => {
      const place = this.unsent.value.findIndex(({ key }) => key === unsent.key);
      if (place < 0) return; // discarded, or sent by another tab
      const before = this.unsent.value.slice(0, place).find(({ passing }) => passing);
      if (!before || unsent.question.parent_id) return this.attempt(sending);
      this.note({ ...sending, status: "failed", passing: true, why: before.why, code: before.code });
    });
    return this.turn;
  }

  /** @param {Unsent} unsent */
  async attempt(unsent) {
    this.note({ ...unsent, status: "sending", passing: false, why: undefined, code: undefined });
    let accepted;
    try {
      const question = { ...unsent.question, api_keys: preferences.keys.value };
      accepted = await api.ask(this.session, question, unsent.key);
    } catch (error) {
      const isTakenBack = !this.outbox.all().some(({ key }) => key === unsent.key);
      if (isTakenBack && wasDeleted(this.session) && isPassing(error)) return deleteAgain(this.session);
      if (isTakenBack) return;
      if (isUnauthorized(error)) signedOut.value = true;
      const code = error instanceof ProblemError ? error.code : undefined;
      if (!code) lookSoon();
      this.note({ ...unsent, status: "failed", passing: isPassing(error), why: wordsFor(error), code });
      return;
    }
    this.forget(unsent.key);
    if (wasDeleted(this.session)) return deleteAgain(this.session);
    this.onAccepted(accepted);
  }

  /**
   * Another question in the place of one that was not sent.
   * @param {Unsent} unsent
   * @param {string} content
   */
  replace(unsent, content) {
    this.forget(unsent.key);
    return this.send(content, unsent.question.parent_id ?? null);
  }

  /** Those that a reload interrupted; their keys see to it that nothing is asked twice. */
  async resume() {
    await confirmed;
    for (const unsent of this.unsent.value) if (unsent.status === "sending") this.inTurn(unsent);
  }

  /** The server can be reached again: those that failed only because it could not be. */
  async retry() {
    await confirmed;
    const kept = this.outbox.all().map(({ key }) => key); // another tab may have sent or discarded some
    this.unsent.value = this.unsent.value.filter(({ key }) => kept.includes(key));
    const isIn = !signedOut.value;
    for (const unsent of this.unsent.value) {
      if (unsent.passing || (isIn && unsent.code === "unauthorized")) this.inTurn(unsent);
    }
  }

  /** Another tab may have sent, edited or discarded some. */
  reread() {
    this.unsent.value = this.outbox.all();
  }

  /** The session is gone: what waits in it does not begin it anew by itself. */
  giveUp() {
    for (const unsent of this.outbox.all()) {
      this.note({ ...unsent, status: "failed", passing: false, why: "This chat has been deleted.", code: undefined });
    }
  }

  /** @param {string} key */
  discard(key) {
    this.forget(key);
    noteUnsent();
  }

  /** @param {string} key */
  forget(key) {
    this.outbox.remove(key);
    this.unsent.value = this.outbox.all();
  }

  /** @param {Unsent} unsent */
  note(unsent) {
    this.outbox.put(unsent);
    this.unsent.value = this.outbox.all();
    noteUnsent();
  }

  /** @param {string} message the answer, or the question, to answer again */
  regenerate(message) {
    undoRemove(this.session);
    // The second click may well be on the new answer's own button.
    return once(`regenerate in ${this.session}`, () =>
      trying("No new answer.", async () => {
        this.onAccepted(await api.regenerate(message, { ...how(), api_keys: preferences.keys.value }, newId()));
      }),
    );
  }
}

/**
 * The server answers: send what waits in the chats that are not in view.
 * @param {(session: string) => boolean} isLeftOut
 * @param {{isStart: boolean, onAccepted: () => void}} options at the start also what a reload interrupted
 */
export function sendKept(isLeftOut, { isStart, onAccepted }) {
  for (const session of Outbox.sessions(browserKeeper, KEPT).filter((each) => !isLeftOut(each))) {
    const asking = new Asking(session, onAccepted);
    if (isStart) asking.resume();
    asking.retry();
  }
}

/** How questions are to be answered, by the user's choices. */
function how() {
  const { provider, model, thinking, maxTokens, whenBusy } = preferences;
  return {
    provider: provider.value,
    model: model.value,
    ultra_thinking: thinking.value,
    max_tokens: maxTokens.value,
    on_busy: whenBusy.value,
  };
}
