/**
 * The shapes that cross the wire, as /openapi.json describes them.
 *
 * @typedef {{url: string, title: string}} Source
 * @typedef {{input_tokens: number, output_tokens: number, source: "provider" | "estimated"}} Usage
 * @typedef {{first_token_ms: number | null, total_ms: number}} Timings
 * @typedef {"streaming" | "completed" | "cancelled" | "failed" | "interrupted"} MessageStatus
 *
 * @typedef {object} Problem
 * @property {string} code
 * @property {string} title
 * @property {string} detail
 * @property {number} status
 * @property {boolean} retryable
 * @property {number | null} [retry_after] seconds
 *
 * @typedef {object} Message
 * @property {string} id
 * @property {string} session_id
 * @property {string | null} parent_id
 * @property {"user" | "assistant"} role
 * @property {MessageStatus} status
 * @property {string} content
 * @property {number} length characters, counted as Unicode code points
 * @property {string} sha256
 * @property {string | null} thinking
 * @property {Source[]} sources
 * @property {string | null} provider
 * @property {string | null} model
 * @property {string | null} finish_reason
 * @property {Usage | null} usage
 * @property {Timings | null} timings
 * @property {Problem | null} error
 * @property {string} created_at
 * @property {string | null} finished_at
 *
 * @typedef {{messages: Message[], cursor: string, has_more: boolean}} History
 * @typedef {{id: string, title: string, created_at: string, updated_at: string, active: string[]}} Session
 * @typedef {{user_message: Message, message: Message, stream_url: string, cursor: string}} Accepted
 *
 * @typedef {{id: string, thinking: boolean}} Model
 *
 * @typedef {object} Provider
 * @property {string} id
 * @property {string} name
 * @property {boolean} ready
 * @property {string | null} reason what is missing if it is not ready
 * @property {string | null} default_model
 * @property {Model[]} models
 * @property {boolean} accepts_any_model
 *
 * @typedef {"reject" | "interrupt" | "enqueue"} OnBusy
 *
 * @typedef {object} Question what is sent; only `content` is required
 * @property {string} content
 * @property {string | null} [parent_id] null: the newest message; `root`: a new start
 * @property {string | null} [provider]
 * @property {string | null} [model]
 * @property {boolean} [ultra_thinking]
 * @property {OnBusy} [on_busy]
 * @property {Record<string, string>} [api_keys]
 * @property {number | null} [max_tokens]
 *
 * @typedef {Record<string, any> & {id: string, type: string}} LogEvent an event of a session's log
 * @typedef {{events: LogEvent[], cursor: string, done: boolean}} EventPage
 *
 * @typedef {object} Place where a reader is in which log
 * @property {string} session
 * @property {string | null} after the cursor; null means the tail
 *
 * @typedef {(place: Place, signal: AbortSignal) => AsyncGenerator<LogEvent[]>} Transport
 *   Yields events that come after the place, in order, `ready` first where the transport has one; an empty
 *   batch is a sign of life. Throws Cut when the connection ends, ProblemError when the server refuses.
 */

export {};
