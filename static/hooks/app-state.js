import { computed, effect, signal, untracked } from "@preact/signals";
import { api, newId, tabKeeper } from "../client/index.js";
import { sendKept } from "./asking.js";
import { KEPT, kept } from "./kept.js";
import { paused } from "./playback.js";
import { lastSession, useStreaming } from "./preferences.js";
import * as list from "./session-list.js";
import { SessionStore } from "./session-store.js";
import { stopKept } from "./stopping.js";

/** @import { Provider } from "../client/types.js" */

export { useStreaming };

const EXPECTED = 50; // ids remembered as made here

/** What the server said last of who can answer, also before it has said so again. */
const told = kept("providers", { providers: /** @type {Provider[]} */ ([]), default_provider: "" });
export const providers = computed(() => told.value.providers ?? []);
export const defaultProvider = computed(() => told.value.default_provider);

const FRESH = `${KEPT}fresh`;

/** Ids made here, which the server cannot know before the first question. @type {Set<string>} */
const fresh = new Set();

/** Those and the last one in use: if the server does not know them, they are new. It survives a reload. */
const expected = new Set(JSON.parse(tabKeeper.getItem(FRESH) ?? "[]"));

/** The session in view; its id is the address's fragment, so that it can be reloaded, kept and shared between tabs. */
export const currentId = signal(idInAddress());
export const store = signal(storeFor(currentId.peek()));

export const isStreaming = computed(() => store.value.active.value.length > 0);
/** The text so far of the answer being written in view. */
export const streamingText = signal("");

function idInAddress() {
  const id = location.hash.slice(1);
  if (/^[A-Za-z0-9_-]{1,64}$/.test(id)) return id;
  const chosen = lastSession.peek() ?? freshId();
  expect(chosen);
  history.replaceState(null, "", `#${chosen}`);
  return chosen;
}

function freshId() {
  const id = newId();
  fresh.add(id);
  expect(id);
  return id;
}

/** @param {string} id */
function expect(id) {
  expected.add(id);
  tabKeeper.setItem(FRESH, JSON.stringify([...expected].slice(-EXPECTED)));
}

/** A fresh id is new only once: whoever comes back to it may have asked something. @param {string} id */
function storeFor(id) {
  return new SessionStore(id, { isNew: fresh.delete(id), isExpected: expected.has(id), askElsewhere });
}

/**
 * @param {string} content
 * @returns {Promise<unknown>}
 */
function askElsewhere(content) {
  newSession();
  return store.value.send(content);
}

/** @param {string} id */
export function openSession(id) {
  if (id === currentId.value) return;
  location.hash = id;
  currentId.value = id; // the event of the address comes later, and the next key may come before it
}

export function newSession() {
  openSession(freshId());
}

/** @param {1 | -1} step down or up the list */
export function openNeighbour(step) {
  const ids = list.listed.value.map((session) => session.id);
  const next = ids[Math.max(0, ids.indexOf(currentId.value) + step)];
  if (next) openSession(next);
}

let again = 0;

async function loadProviders() {
  clearTimeout(again);
  try {
    told.value = await api.providers();
  } catch {
    addEventListener("online", loadProviders, { once: true });
    again = window.setTimeout(loadProviders, 5_000);
  }
}

addEventListener("hashchange", () => (currentId.value = idInAddress()));

effect(() => {
  const opened = currentId.value === store.peek().id ? store.peek() : storeFor(currentId.value);
  lastSession.value = opened.id;
  store.value = opened;
  untracked(() => {
    paused.value = false;
    opened.open();
  });
  return () => opened.close();
});

const isLive = computed(() => store.value.state.value?.phase === "live");

// The list shows titles and activity, and says whose it is: look again when those of the session in view change, and
// when the server can be reached again.
effect(() => {
  isLive.value;
  store.value.title.value;
  store.value.active.value.length;
  setTimeout(list.refresh);
});

// Another tab, or another browser, has begun the chat that is in view here and was new.
effect(() => {
  const { id } = store.value;
  if (list.sessions.value.some((session) => session.id === id)) untracked(() => store.value.appear());
});

// A search leaves the chat in view out of the list, and a deletion takes it: its title stays.
effect(() => {
  const title = list.sessions.value.find(({ id }) => id === store.value.id)?.title;
  if (title) untracked(() => (store.value.title.value = title));
});

// The list has the newest chats only.
effect(() => {
  const { id, title } = store.value;
  const isListed = list.all.value.some((session) => session.id === id);
  if (list.answers.value && isLive.value && !isListed && !title.value) untracked(() => readTitle(store.value));
});

/** @param {SessionStore} of */
async function readTitle(of) {
  try {
    of.title.value ||= (await api.readSession(of.id)).title;
  } catch {
    // It is read without a title, then.
  }
}

// A chat that begins is not being read yet, and neither is one that is not in view: nothing else says that their
// questions can be sent now. The same key goes with every attempt, so other tabs may send them too.
effect(() => {
  const count = list.answers.value;
  if (count) untracked(() => sendAll(count === 1));
});

/** @param {boolean} isStart */
function sendAll(isStart) {
  stopKept();
  list.deleteKept();
  const inView = store.value;
  inView.asking.retry();
  const isLeftOut = (/** @type {string} */ id) => id === inView.id || list.isBeingDeleted(id);
  sendKept(isLeftOut, { isStart, onAccepted: () => void list.changed() });
}

effect(() => {
  const { active, hear } = { active: store.value.active.value, hear: store.value.hear.bind(store.value) };
  streamingText.value = active[0]?.content ?? "";
  return hear({ onText: (message) => message === active[0] && (streamingText.value = message.content) });
});

addEventListener("pagehide", () => store.peek().keepNow());
loadProviders();
