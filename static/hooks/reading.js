import { signal } from "@preact/signals";
import { Ladder, SharedReading } from "../client/index.js";
import { preferWebSocket } from "./preferences.js";

/** @import { ReadingState } from "../client/follow.js" */

/** How the log of the session in view is being read; null before anything is. */
export const readingState = signal(/** @type {ReadingState | null} */ (null));

export const ladder = new Ladder({ storage: localStorage });

/** The one reader that this browser's tabs share. */
export const reading = new SharedReading({ ladder, choice: () => (preferWebSocket.value ? "websocket" : null) });

let wasPreferred = preferWebSocket.value;
preferWebSocket.subscribe((preferred) => {
  if (preferred !== wasPreferred) reading.restart();
  wasPreferred = preferred;
});

addEventListener("online", () => reading.wake());
addEventListener("pageshow", (event) => event.persisted && reading.wake());
document.addEventListener("visibilitychange", () => document.hidden || reading.wake());

const network = /** @type {any} */ (navigator).connection;
let networkType = network?.type;
network?.addEventListener?.("change", () => {
  if (network.type !== networkType) ladder.forget();
  networkType = network.type;
});
