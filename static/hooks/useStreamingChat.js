import { useEffect, useLayoutEffect } from "preact/hooks";
import { isStreaming, openSession, store, streamingText, useStreaming } from "./app-state.js";

/** @import { Spoken } from "../client/conversation.js" */

/**
 * A session, for a component: what is being said in it, and what can be done.
 * @param {object} options
 * @param {string} options.sessionId
 * @param {(message: Spoken, text: string) => void} [options.onChunk]
 * @param {(message: Spoken) => void} [options.onComplete] whichever way the answer ended
 */
export function useStreamingChat({ sessionId, onChunk, onComplete }) {
  const session = store.value;
  // At once: later it would undo what a key has opened meanwhile.
  useLayoutEffect(() => openSession(sessionId), [sessionId]);
  useEffect(() => session.hear({ onText: onChunk, onEnd: onComplete }), [session, onChunk, onComplete]);
  return {
    session,
    isStreaming,
    streamingText,
    useStreaming,
    messages: session.path.value,
    sendMessage: session.send.bind(session),
    stop: session.stop.bind(session),
    regenerate: session.asking.regenerate.bind(session.asking),
  };
}
