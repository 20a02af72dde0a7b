const PING_EVERY = 30_000;
const PONG_WITHIN = 10_000;

/**
 * @typedef {object} SocketEvents
 * @property {() => void} [onOpen]
 * @property {(message: any) => void} onMessage JSON, pongs included
 * @property {(code: number) => void} onClose once, whatever ended it; 0 if it was not the other side
 */

/** One WebSocket of JSON messages, which notices when the other side has gone silently. */
export class Socket {
  /**
   * @param {string} url
   * @param {SocketEvents} events
   * @param {{pingEvery?: number, pongWithin?: number}} [options] milliseconds
   */
  constructor(url, events, { pingEvery = PING_EVERY, pongWithin = PONG_WITHIN } = {}) {
    this.events = events;
    this.pongWithin = pongWithin;
    this.closed = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.deadline = undefined;
    this.pinging = setInterval(() => this.ping(), pingEvery);
    this.socket = new WebSocket(url);
    this.socket.onopen = () => events.onOpen?.();
    this.socket.onclose = ({ code }) => this.close(code);
    this.socket.onmessage = ({ data }) => this.take(JSON.parse(data));
  }

  /**
   * Whether it went out: on a socket that is not open, it does not.
   * @param {unknown} message
   */
  send(message) {
    if (this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  ping() {
    clearTimeout(this.deadline);
    if (this.send({ type: "ping" })) this.deadline = setTimeout(() => this.close(), this.pongWithin);
  }

  /** @param {any} message */
  take(message) {
    if (this.closed) return;
    clearTimeout(this.deadline); // any message shows that somebody is there
    this.events.onMessage(message);
  }

  close(code = 0) {
    if (this.closed) return;
    this.closed = true;
    clearInterval(this.pinging);
    clearTimeout(this.deadline);
    this.socket.close();
    this.events.onClose(code);
  }
}

/**
 * @param {string} session
 * @param {string | null} [after]
 */
export function socketUrl(session, after = null) {
  const url = new URL(`/ws/chat/${encodeURIComponent(session)}`, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  if (after) url.searchParams.set("after", after);
  return url.href;
}
