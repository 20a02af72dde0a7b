/**
 * A client of a Xionimus server, without a framework: import this one file.
 *
 *     const { cursor, messages } = await api.history("first");
 *     follow({ session: "first", cursor, signal, onEvents: (after, events) => …, onReset: () => … });
 *
 * `Conversation` folds the two together into messages; `SharedReading` lets all tabs share one connection.
 */
export * as api from "./api.js";
export { Cache } from "./cache.js";
export { groupSiblings, newestBelow, pathTo } from "./branches.js";
export { Conversation } from "./conversation.js";
export { Cut, ProblemError, Unreachable, isNotFound, isPassing, isUnauthorized, sentenceOf } from "./errors.js";
export { follow } from "./follow.js";
export { newId } from "./ids.js";
export { browserKeeper, tabKeeper } from "./keeper.js";
export { Ladder } from "./ladder.js";
export { Outbox } from "./outbox.js";
export { probe, verdict } from "./probe.js";
export { countCharacters, sha256 } from "./proof.js";
export { SharedReading } from "./shared-reading.js";
export { Socket, socketUrl } from "./socket.js";
export { Backoff, sleep } from "./timing.js";
