/** Short notes between the tabs of this browser. @typedef {"sessions"} Note */

const channel = new BroadcastChannel("xionimus:notes");

/** @param {Note} note to the other tabs */
export const tellTabs = (note) => channel.postMessage(note);

/** @param {(note: Note) => void} hear */
export const onNote = (hear) => channel.addEventListener("message", ({ data }) => hear(data));
