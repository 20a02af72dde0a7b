/** @import { Problem } from "./types.js" */

/** The server said no; `problem` is its own account (RFC 9457). */
export class ProblemError extends Error {
  /** @param {Problem & Record<string, any>} problem */
  constructor(problem) {
    super(problem.detail || problem.title);
    this.name = "ProblemError";
    this.problem = problem;
    this.code = problem.code;
  }
}

/** Nothing came back: the server is away, or the network is. */
export class Unreachable extends Error {
  constructor() {
    super("The server cannot be reached.");
    this.name = "Unreachable";
  }
}

/** A stream ended before what was asked for did. */
export class Cut extends Error {
  /** @param {"ended" | "silent" | "held back" | "refused"} reason */
  constructor(reason) {
    super(`the stream was cut: ${reason}`);
    this.name = "Cut";
    this.reason = reason;
  }
}

/**
 * Whether asking again, unchanged, may help.
 * @param {unknown} error
 */
export function isPassing(error) {
  return !(error instanceof ProblemError) || error.problem.retryable || error.problem.status >= 500;
}

/** By the server's own word: something on the way may answer 404 too. @param {unknown} error */
export function isNotFound(error) {
  return error instanceof ProblemError && error.code === "not_found";
}

/** @param {unknown} error */
export function isUnauthorized(error) {
  return error instanceof ProblemError && error.code === "unauthorized";
}

/** @param {unknown} error */
export function sentenceOf(error) {
  return error instanceof Error ? error.message : String(error);
}
