import { computed, effect, signal, untracked } from "@preact/signals";
import { Unreachable, api, isNotFound, isPassing, isUnauthorized } from "../client/index.js";
import { KEPT, cache, kept } from "./kept.js";
import { onNote, tellTabs } from "./notes.js";
import { once } from "./once.js";
import { confirmOwner, signedOut } from "./owner.js";
import { trying } from "./trouble.js";
import { offerUndo, withdraw } from "./undo.js";
import { forgetUnsent, noteUnsent, unsent } from "./unsent.js";

/** @import { Unsent } from "../client/outbox.js" */
/** @import { Session } from "../client/types.js" */

const MOST = 500; // chats that the server lists at once
const QUICKLY = 2_500; // between looks while something is being written
const CALMLY = 30_000;
const UNREACHED = 5_000; // while the server cannot be reached
const DOUBTFUL = 20; // chats looked for at the start, of those that are kept here and not listed
const TITLE = 80; // characters of a first question, for as long as the server has given no title

export const sessions = signal(/** @type {Session[]} */ ([]));
export const hasMore = signal(false);
export const searched = signal("");
/** What was searched for when the list was read. */
export const listedFor = signal("");

/** Whether there was an answer when the list was looked at last: a new chat has nothing else to know it from. */
export const isReached = signal(true);

/** Sessions that are not to be seen any more, and whether their deletion is under way: until then it is taken back. */
const deleting = signal(/** @type {Map<string, boolean>} */ (new Map()));

/** Sessions whose deletion the server has not confirmed: it may have been away. */
const doomed = kept("deleting", /** @type {string[]} */ ([]));
deleting.value = new Map(doomed.value.map((id) => [id, true]));

/** Those that were deleted from here: a question that was on its way does not bring them back. @type {Set<string>} */
const gone = new Set();

/** Those that the server does not know yet, because it is the first question that waits. */
const begun = computed(() => {
  const known = new Set(sessions.value.map(({ id }) => id));
  const first = [...unsent.value].filter(([id, { question }]) => question.parent_id === null && !known.has(id));
  return first.map(beginning).sort((one, other) => other.updated_at.localeCompare(one.updated_at));
});

export const all = computed(() => [...begun.value, ...sessions.value]);
export const listed = computed(() => {
  const wanted = searched.value.toLowerCase();
  const found = begun.value.filter(({ title }) => title.toLowerCase().includes(wanted));
  return [...found, ...sessions.value].filter((session) => !deleting.value.has(session.id));
});

/** @param {string} id */
export const isBegun = (id) => begun.value.some((session) => session.id === id);

/** Also if it is just being: that is not undone any more. @param {string} id */
export const wasDeleted = (id) => gone.has(id) || Boolean(deleting.value.get(id));

/** @param {string} id */
export const isBeingDeleted = (id) => deleting.value.has(id);

/** How often the server has answered. */
export const answers = signal(0);

let timer = 0;
let asked = 0;

/** Read the list, now and then again: more often while an answer is being written somewhere. */
export async function refresh() {
  clearTimeout(timer);
  const turn = ++asked;
  let pause = UNREACHED;
  try {
    const q = searched.value;
    const limit = Math.min(MOST, Math.max(50, sessions.value.length));
    const found = await api.listSessions({ q, limit });
    isReached.value = true;
    if (turn !== asked) return;
    if (!confirmOwner(found.owner)) return;
    const behind = found.has_more && q === listedFor.value ? listedBehind(found.sessions) : [];
    listedFor.value = q;
    sessions.value = [...found.sessions, ...behind];
    hasMore.value = behind.length ? hasMore.value : found.has_more;
    noteUnsent();
    pause = isBusy() ? QUICKLY : CALMLY;
    answers.value += 1;
    if (!searched.value) cache.keepSessions(found.sessions);
    if (answers.value === 1) forgetDeleted();
  } catch (error) {
    // What was read before stays; the connection's own mark says what is wrong.
    isReached.value = !(error instanceof Unreachable);
    if (isUnauthorized(error)) signedOut.value = true;
  } finally {
    if (turn === asked) timer = window.setTimeout(refreshIfSeen, pause);
  }
}

/** What was deleted elsewhere while no page was open: its text does not stay in this browser. */
async function forgetDeleted() {
  const known = new Set(sessions.value.map(({ id }) => id));
  const doubtful = (await cache.sessionsWithHistory()).filter((id) => !known.has(id));
  // Not all at once: some may have a thousand chats that are not on the first page.
  for (const id of doubtful.sort(() => Math.random() - 0.5).slice(0, DOUBTFUL)) {
    try {
      await api.readSession(id);
    } catch (error) {
      if (!isNotFound(error)) return;
      cache.forgetHistory(id);
    }
  }
}

/**
 * What was listed before and is older than the page that has just been read.
 * @param {Session[]} page
 */
function listedBehind(page) {
  const read = new Set(page.map(({ id }) => id));
  const end = Date.parse(page[page.length - 1].updated_at);
  return sessions.value.filter(({ id, updated_at }) => !read.has(id) && Date.parse(updated_at) <= end);
}

const isBusy = () => sessions.value.some((session) => session.active.length > 0);

/** The server could not be reached: see soon whether it answers again. */
export function lookSoon() {
  clearTimeout(timer);
  timer = window.setTimeout(refreshIfSeen, UNREACHED);
}

function refreshIfSeen() {
  if (!document.hidden) refresh();
}

export function loadMore() {
  return once("more sessions", () =>
    trying("The list ends here for now.", async () => {
      const last = sessions.value.at(-1);
      const found = await api.listSessions({ q: searched.value, before: last?.id, limit: 50 });
      sessions.value = [...sessions.value, ...found.sessions];
      hasMore.value = found.has_more;
    }),
  );
}

/** Tell this tab and the others that the list has changed. */
export function changed() {
  tellTabs("sessions");
  return refresh();
}

/**
 * @param {string} id
 * @param {string} title
 */
export async function rename(id, title) {
  const before = sessions.value.find((session) => session.id === id)?.title ?? "";
  const show = (/** @type {string} */ shown) => {
    sessions.value = sessions.value.map((session) => (session.id === id ? { ...session, title: shown } : session));
  };
  show(title);
  await trying("Not renamed.", async () => {
    try {
      await api.renameSession(id, title);
    } catch (error) {
      show(before);
      throw error;
    }
  });
  await changed();
}

/**
 * @param {Session} session
 * @param {() => void} onUndone
 */
export function remove({ id, title }, onUndone) {
  deleting.value = new Map(deleting.value).set(id, false);
  const undo = () => {
    undoRemove(id);
    onUndone();
  };
  offerUndo({ key: id, what: `“${title || "Untitled"}” deleted.`, undo, over: () => carryOut(id) });
}

/** A question that was on its way has brought it back, or may have. @param {string} id */
export function deleteAgain(id) {
  deleting.value = new Map(deleting.value).set(id, false);
  return carryOut(id);
}

/** @param {string} id */
export function undoRemove(id) {
  if (!deleting.value.get(id)) stopDeleting(id);
}

/** @param {string} id */
function stopDeleting(id) {
  withdraw(id);
  deleting.value = new Map([...deleting.value].filter(([each]) => each !== id));
}

/** @param {string} id */
async function carryOut(id, keepalive = false) {
  if (!deleting.value.has(id)) return;
  withdraw(id);
  deleting.value = new Map(deleting.value).set(id, true);
  doomed.value = [...new Set([...doomed.value, id])];
  cache.forgetHistory(id);
  if (keepalive) forgetUnsent(id); // nobody will be here to do it
  const error = await deleteNow(id, keepalive);
  if (error) {
    const failure = isPassing(error) ? "Not deleted yet; it will be tried again." : "Not deleted.";
    await trying(failure, () => Promise.reject(error));
  }
  await changed();
  if (!doomed.value.includes(id)) stopDeleting(id);
}

/**
 * What went wrong, if anything did; if it may go well later, the deletion is kept for then.
 * @param {string} id
 * @returns {Promise<unknown>}
 */
async function deleteNow(id, keepalive = false) {
  let failure = null;
  try {
    await api.deleteSession(id, { keepalive });
  } catch (error) {
    if (!isNotFound(error) && !isBegun(id)) failure = error;
  }
  if (failure && isPassing(failure)) {
    lookSoon();
    return failure;
  }
  if (!failure) {
    gone.add(id);
    forgetUnsent(id);
    sessions.value = sessions.value.filter((session) => session.id !== id);
  }
  doomed.value = doomed.value.filter((each) => each !== id);
  return failure;
}

/** The server can be reached again: those that it has not heard of. */
export async function deleteKept() {
  for (const id of doomed.value) {
    await deleteNow(id);
    if (!doomed.value.includes(id)) stopDeleting(id);
  }
}

/**
 * @param {[string, Unsent]} first
 * @returns {Session}
 */
function beginning([id, { question, at }]) {
  const asked = new Date(at ?? 0).toISOString();
  const title = question.content.trim().slice(0, TITLE).replace(/\s+/g, " ");
  return { id, title, created_at: asked, updated_at: asked, active: [] };
}

effect(() => {
  searched.value;
  untracked(refresh);
});
cache.sessions().then((kept) => {
  if (kept && !sessions.value.length) sessions.value = kept;
});
addEventListener("storage", ({ key, newValue }) => {
  if (!key?.startsWith(`${KEPT}outbox:`)) return;
  if (newValue) noteUnsent();
  else refresh().then(noteUnsent); // sent: then it is in the list
});
onNote((note) => note === "sessions" && refresh());
addEventListener("online", refresh);
document.addEventListener("visibilitychange", refreshIfSeen);
// Whoever leaves does not undo any more.
addEventListener("pagehide", () => [...deleting.value.keys()].forEach((id) => carryOut(id, true)));
