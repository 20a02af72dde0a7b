import { KEPT } from "./kept.js";

/** Short notes between the tabs of this browser. @typedef {"sessions" | "signed out"} Note */

const channel = new BroadcastChannel(`${KEPT}notes`);

/** @param {Note} note to the other tabs */
export const tellTabs = (note) => channel.postMessage(note);

/** @param {(note: Note) => void} hear */
export const onNote = (hear) => channel.addEventListener("message", ({ data }) => hear(data));
