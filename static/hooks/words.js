import { ProblemError, sentenceOf } from "../client/index.js";

/** What the server says to programs, in words for people. @type {Record<string, string>} */
const WORDS = {
  unauthorized: "You are signed out.",
  too_large: "It is longer than this server takes. Shorten it, or send it in parts.",
  provider_not_configured: "The provider needs a key. You can give it one of your own in the settings.",
  unknown_model: "The model is not there any more. Choose another one.",
};

/** Where the way on is the settings. */
const BY_SETTINGS = new Set(["provider_not_configured", "provider_auth"]);

/** @param {unknown} error */
export function wordsFor(error) {
  return (error instanceof ProblemError && WORDS[error.code]) || sentenceOf(error);
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
