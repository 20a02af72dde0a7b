import { ProblemError, Unreachable } from "./errors.js";

const TIMEOUT = 45_000; // longer than a long-poll

/**
 * @typedef {object} CallOptions
 * @property {unknown} [body]
 * @property {Record<string, string>} [headers]
 * @property {AbortSignal} [signal]
 * @property {boolean} [keepalive] let the request outlive the page
 * @property {RequestRedirect} [redirect] "manual": being led elsewhere is an answer without a body
 */

/**
 * One request, one JSON answer (undefined if it has no body).
 * Throws ProblemError, Unreachable; an AbortError if `signal` says so.
 * @param {string} method
 * @param {string} path
 * @param {CallOptions} [options]
 * @returns {Promise<any>}
 */
export async function call(method, path, options = {}) {
  const response = await send(method, path, options);
  if (response.type === "opaqueredirect") return undefined;
  if (!response.ok) throw new ProblemError(await problemOf(response));
  if (response.status === 204) return undefined;
  return response.json();
}

/**
 * @param {string} method
 * @param {string} path
 * @param {CallOptions} options
 */
async function send(method, path, { body, headers = {}, signal, keepalive = false, redirect }) {
  const timeout = AbortSignal.timeout(TIMEOUT);
  /** @type {Record<string, string>} */
  const json = body === undefined ? {} : { "Content-Type": "application/json" };
  try {
    return await fetch(path, {
      method,
      keepalive,
      redirect,
      headers: { Accept: "application/json", ...json, ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unreachable();
  }
}

/**
 * @param {Response} response
 * @returns {Promise<import("./types.js").Problem>}
 */
export async function problemOf(response) {
  const told = await response.json().catch(() => null);
  if (told && typeof told.code === "string") return told;
  const title = `The server answered ${response.status}.`;
  const retryable = response.status >= 500;
  return { code: "unknown", title, detail: title, status: response.status, retryable, retry_after: null };
}
