import { signal } from "@preact/signals";
import { Ladder, SharedReading, browserKeeper } from "../client/index.js";
import { KEPT } from "./kept.js";
import { preferWebSocket } from "./preferences.js";

/** Whether the browser believes to have a network. */
export const online = signal(navigator.onLine);

export const ladder = new Ladder({ storage: browserKeeper });

/** The one reader that this browser's tabs share. */
export const reading = new SharedReading({ name: KEPT, ladder, choice: () => (preferWebSocket.value ? "websocket" : null) });

let wasPreferred = preferWebSocket.value;
preferWebSocket.subscribe((preferred) => {
  if (preferred !== wasPreferred) reading.restart();
  wasPreferred = preferred;
});

addEventListener("offline", () => (online.value = false));
addEventListener("online", () => {
  online.value = true;
  reading.wake();
});
addEventListener("pageshow", (event) => event.persisted && reading.wake());
document.addEventListener("visibilitychange", () => document.hidden || reading.wake());

const network = /** @type {any} */ (navigator).connection;
let networkType = network?.type;
network?.addEventListener?.("change", () => {
  if (network.type !== networkType) ladder.forget();
  networkType = network.type;
});
