/** What the client's tests put in the place of the browser and the server. */

/** A storage that forgets with the test. */
export function memory() {
  const kept = new Map();
  return {
    getItem: (name) => kept.get(name) ?? null,
    setItem: (name, value) => void kept.set(name, value),
    removeItem: (name) => void kept.delete(name),
  };
}

/**
 * A server whose answers are functions, by what the path contains; they come in the order in which they are given.
 * @param {import("node:test").TestContext} test
 * @param {Record<string, ((url: string, init: RequestInit) => Response | Promise<Response>)[]>} answers
 */
export function serve(test, answers) {
  const asked = [];
  test.mock.method(globalThis, "fetch", async (url, init = {}) => {
    asked.push({ url, ...init });
    const [, waiting] = Object.entries(answers).find(([part]) => url.includes(part)) ?? [];
    const answer = waiting?.length > 1 ? waiting.shift() : waiting?.[0];
    if (!answer) throw new TypeError(`nobody answers ${url}`);
    return answer(url, init);
  });
  return asked;
}

export const json = (body, status = 200) => () => Response.json(body, { status });
export const problem = (status, code, more = {}) => json({ code, status, title: code, detail: code, retryable: false, ...more }, status);
export const unreachable = () => Promise.reject(new TypeError("fetch failed"));

/** A streamed response of NDJSON that ends, or stays open. */
export function ndjson(events, { stays = false } = {}) {
  return (_, { signal }) => {
    const body = new ReadableStream({
      start(controller) {
        const text = events.map((event) => JSON.stringify(event) + "\n").join("");
        controller.enqueue(new TextEncoder().encode(text));
        if (!stays) controller.close();
        signal?.addEventListener("abort", () => stays && controller.error(signal.reason));
      },
    });
    return new Response(body);
  };
}

export const ready = (cursor) => ({ id: cursor, type: "ready", cursor, heartbeat: 15, server_time: new Date().toISOString() });

/** An answer's message, as history has it. */
export function answer(fields = {}) {
  return {
    id: "a", session_id: "s", parent_id: "q", role: "assistant", status: "streaming", content: "", length: 0, sha256: "",
    thinking: null, sources: [], provider: "demo", model: "demo", finish_reason: null, usage: null, timings: null,
    error: null, created_at: "2026-01-01T00:00:00.000Z", finished_at: null, ...fields,
  };
}
