import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedReading } from "../../static/client/shared-reading.js";
import { problem, serve } from "./fakes.js";

/** A tab that another one leads: it never gets the lock. */
function led(context) {
  context.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  const channel = Object.assign(new EventTarget(), { postMessage() {} });
  const locks = { request: (name, options) => (options.ifAvailable ? Promise.resolve() : new Promise(() => {})), query: async () => ({}) };
  return new SharedReading({ locks, channel });
}

test("a tab whose own cursor has expired reads the history again, though its leader's is good", async (context) => {
  serve(context, { "/events?after=e-1": [problem(409, "cursor_reset", { reason: "expired", cursor: "e-90" })] });
  const reading = led(context);
  const reset = new Promise((resolve) => {
    reading.join("s", "e-1", { onEvents: assert.fail, onReset: resolve, onState() {} });
  });
  reading.heed({ kind: "at", session: "s", cursor: "e-99", state: null });
  await reset;
});
