import assert from "node:assert/strict";
import { test } from "node:test";
import { Socket } from "../../static/client/socket.js";

/** A WebSocket whose other side is the test. */
class FakeWebSocket {
  static OPEN = 1;
  readyState = 0;
  sent = [];
  send = (text) => this.sent.push(JSON.parse(text));
  close = () => this.onclose({ code: 1005 });
  open() {
    this.readyState = FakeWebSocket.OPEN;
    this.onopen();
  }
}

function connected(context) {
  context.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  const before = globalThis.WebSocket;
  globalThis.WebSocket = FakeWebSocket;
  context.after(() => (globalThis.WebSocket = before));
  const heard = { messages: [], closed: 0 };
  const socket = new Socket("ws://x", { onMessage: (message) => heard.messages.push(message), onClose: () => (heard.closed += 1) });
  socket.socket.open();
  return { heard, line: socket.socket, pass: (ms) => context.mock.timers.tick(ms) };
}

test("every thirty seconds somebody asks whether the other side is there", (context) => {
  const { heard, line, pass } = connected(context);
  for (let count = 1; count <= 3; count += 1) {
    pass(30_000);
    assert.equal(line.sent.length, count);
    line.onmessage({ data: '{"type": "pong"}' });
  }
  assert.deepEqual(line.sent[0], { type: "ping" });
  assert.equal(heard.closed, 0);
});

test("a pong that does not come is noticed, once", (context) => {
  const { heard, pass } = connected(context);
  pass(30_000);
  pass(9_999);
  assert.equal(heard.closed, 0);
  pass(1);
  assert.equal(heard.closed, 1);
  pass(120_000);
  assert.equal(heard.closed, 1);
});
