import { ProblemError, sentenceOf } from "../client/index.js";

/** What the server says to programs, in words for people. @type {Record<string, string>} */
const WORDS = {
  unauthorized: "You are signed out.",
  draining: "The server is about to start again.",
  storage_unavailable: "The server can keep nothing at the moment; its disk may be full.",
  overloaded: "The server has too much to do at the moment.",
  rate_limited: "You have asked for a lot in a short time.",
  too_many_streams: "You have too much open at once: close other pages of this server.",
  too_large: "It is longer than this server takes. Shorten it, or send it in parts.",
  provider_not_configured: "The provider needs a key. You can give it one of your own in the settings.",
  unknown_model: "The model is not there any more. Choose another one.",
};

/** Where the way on is the settings. */
const BY_SETTINGS = new Set(["provider_not_configured", "provider_auth"]);

/** @param {unknown} error */
export function wordsFor(error) {
  return (error instanceof ProblemError && WORDS[error.code]) || finished(sentenceOf(error));
}

/** The server's details are no sentences: others stand behind them here. @param {string} text */
function finished(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".");
}

/**
 * What helps, if it is not to try again.
 * @param {string | undefined} code
 * @returns {"sign in" | "settings" | null}
 */
export function remedyFor(code) {
  if (code === "unauthorized") return "sign in";
  return code && BY_SETTINGS.has(code) ? "settings" : null;
}
