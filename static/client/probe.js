import { Cut } from "./errors.js";

/** @typedef {{number: number, of: number, at: number, server: number}} Tick */

/**
 * Read the server's probe stream and note when each tick arrives.
 * @param {"sse" | "ndjson"} format
 * @param {AbortSignal} signal
 * @returns {Promise<Tick[]>}
 */
export async function probe(format, signal) {
  const response = await fetch(`/api/stream/probe?format=${format}`, { signal });
  if (!response.ok) throw new Cut("refused");
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  /** @type {Tick[]} */
  const ticks = [];
  let text = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const lines = (text + decoder.decode(part.value, { stream: true })).split("\n");
    text = /** @type {string} */ (lines.pop());
    ticks.push(...lines.map(tickOf).filter((tick) => tick !== null));
  }
  return ticks;
}

/**
 * @param {string} line of SSE or NDJSON
 * @returns {Tick | null}
 */
function tickOf(line) {
  const json = line.replace(/^data: /, "");
  if (!json.startsWith("{")) return null;
  const { number, of, server_time } = JSON.parse(json);
  return { number, of, at: performance.now(), server: Date.parse(server_time) };
}

/**
 * @param {Tick[]} ticks
 * @returns {"streams" | "held back" | "incomplete"}
 */
export function verdict(ticks) {
  if (!ticks.length || ticks.length < ticks[0].of) return "incomplete";
  const [first, last] = [ticks[0], ticks[ticks.length - 1]];
  const sent = last.server - first.server;
  return last.at - first.at < sent / 2 ? "held back" : "streams";
}
