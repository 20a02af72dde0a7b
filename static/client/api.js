import { call } from "./http.js";

/** @import { Accepted, EventPage, History, Message, Provider, Question, Session } from "./types.js" */

/** @param {string} session */
const at = (session) => `/api/sessions/${encodeURIComponent(session)}`;

/** @param {Record<string, string | number | null | undefined>} values */
function query(values) {
  const given = Object.entries(values).filter(([, value]) => value != null && value !== "");
  return given.length ? "?" + new URLSearchParams(given.map(([name, value]) => [name, String(value)])) : "";
}

/** Sessions. */

/**
 * @param {{q?: string, before?: string, limit?: number}} [options]
 * @returns {Promise<{sessions: Session[], has_more: boolean, owner: string}>}
 */
export const listSessions = (options = {}) => call("GET", "/api/sessions" + query(options));

/**
 * @param {string} session
 * @returns {Promise<Session>}
 */
export const readSession = (session) => call("GET", at(session));

/**
 * @param {string} session
 * @param {string} title
 * @returns {Promise<Session>}
 */
export const renameSession = (session, title) => call("PATCH", at(session), { body: { title } });

/**
 * @param {string} session
 * @param {{keepalive?: boolean}} [options]
 * @returns {Promise<void>}
 */
export const deleteSession = (session, options) => call("DELETE", at(session), options);

/**
 * @param {string} session
 * @param {"json" | "markdown"} format
 */
export const exportUrl = (session, format) => `${at(session)}/export?format=${format}`;

/** Messages. */

/**
 * @param {string} session
 * @param {{before?: string, limit?: number}} [options]
 * @returns {Promise<History>}
 */
export const history = (session, options = {}) => call("GET", `${at(session)}/messages${query(options)}`);

/**
 * @param {string} session
 * @param {Question} question
 * @param {string} key one key for one question, however often it is sent
 * @returns {Promise<Accepted>}
 */
export const ask = (session, question, key) =>
  call("POST", `${at(session)}/messages`, { body: question, headers: { "Idempotency-Key": key } });

/**
 * @param {string} message
 * @param {Omit<Question, "content" | "parent_id">} how
 * @param {string} key
 * @returns {Promise<Accepted>}
 */
export const regenerate = (message, how, key) =>
  call("POST", `/api/messages/${message}/regenerate`, { body: how, headers: { "Idempotency-Key": key } });

/**
 * Also if the page is closed at once.
 * @param {string} message
 * @returns {Promise<Message>}
 */
export const cancel = (message) => call("POST", `/api/messages/${message}/cancel`, { keepalive: true });

/** The log, who can answer, and who asks. */

/**
 * What there is after the cursor; if nothing, what comes within `wait` seconds.
 * @param {string} session
 * @param {string | null} after
 * @param {number} wait
 * @param {AbortSignal} [signal]
 * @returns {Promise<EventPage>}
 */
export const eventPage = (session, after, wait, signal) =>
  call("GET", eventsUrl(session, after, { format: "json", wait }), { signal });

/**
 * @param {string} session
 * @param {string | null} after
 * @param {Record<string, string | number>} parameters
 */
export const eventsUrl = (session, after, parameters) => `${at(session)}/events${query({ after, ...parameters })}`;

/** @returns {Promise<{providers: Provider[], default_provider: string}>} */
export const providers = () => call("GET", "/api/providers");

/** Forgets the cookie. What follows is a page for people. */
export const signOut = () => call("POST", "/sign-out", { redirect: "manual" });
