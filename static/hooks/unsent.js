import { signal } from "@preact/signals";
import { Outbox, browserKeeper } from "../client/index.js";
import { KEPT } from "./kept.js";

/** @import { Unsent } from "../client/outbox.js" */

/** Sessions with questions that the server has not confirmed, and the first of those. */
export const unsent = signal(/** @type {Map<string, Unsent>} */ (new Map()));

/** Whether a question waits in it. @param {string} id */
export const isUnsent = (id) => unsent.value.get(id)?.status === "failed";

/** A question sent later would begin the chat anew. @param {string} id */
export function forgetUnsent(id) {
  new Outbox(browserKeeper, id, KEPT).keep([]);
  noteUnsent();
}

/** Look which questions wait; of one that the server has taken, its session is left in the list until that is read. */
export function noteUnsent() {
  const waiting = Outbox.sessions(browserKeeper, KEPT).map((id) => {
    const asked = new Outbox(browserKeeper, id, KEPT).all();
    return /** @type {const} */ ([id, asked.find(({ status }) => status === "failed") ?? asked[0]]);
  });
  unsent.value = new Map(waiting.filter(([, first]) => first));
}

noteUnsent();
