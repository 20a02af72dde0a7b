import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { Backoff, Socket } from "../client/index.js";

/**
 * A WebSocket of JSON messages that comes back when it is lost, and notices when nobody answers.
 * @param {object} options
 * @param {string} options.url
 * @param {(message: any) => void} [options.onMessage]
 * @param {boolean} [options.autoConnect]
 */
export function useWebSocket({ url, onMessage, autoConnect = true }) {
  const [isConnected, setConnected] = useState(false);
  const connection = useRef(/** @type {Connection | null} */ (null));
  const heard = useRef(onMessage);
  heard.current = onMessage;

  const disconnect = useCallback(() => connection.current?.end(), []);
  const connect = useCallback(() => {
    connection.current?.end();
    connection.current = new Connection(url, (message) => heard.current?.(message), setConnected);
  }, [url]);
  const send = useCallback((/** @type {unknown} */ message) => connection.current?.socket.send(message) ?? false, []);

  useEffect(() => {
    if (autoConnect) connect();
    return disconnect;
  }, [autoConnect, connect, disconnect]);
  return { isConnected, send, connect, disconnect };
}

class Connection {
  /**
   * @param {string} url
   * @param {(message: any) => void} hear
   * @param {(connected: boolean) => void} tell
   */
  constructor(url, hear, tell) {
    this.url = url;
    this.hear = hear;
    this.tell = tell;
    this.backoff = new Backoff();
    this.ended = false;
    this.retry = 0;
    this.socket = this.open();
  }

  open() {
    return new Socket(this.url, {
      onMessage: (message) => {
        this.backoff.reset();
        this.hear(message);
      },
      onOpen: () => this.tell(true),
      onClose: (code) => this.closed(code),
    });
  }

  /** @param {number} code 4500 to 4999: not to come back */
  closed(code) {
    this.tell(false);
    if (!this.ended && (code < 4500 || code > 4999)) this.retry = window.setTimeout(() => (this.socket = this.open()), this.backoff.next());
  }

  end() {
    this.ended = true;
    clearTimeout(this.retry);
    this.socket.close();
  }
}
