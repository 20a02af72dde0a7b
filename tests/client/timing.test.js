import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff, sleep } from "../../static/client/timing.js";

test("waits double from one second to thirty", () => {
  const backoff = new Backoff({ random: () => 0 });
  assert.deepEqual(Array.from({ length: 7 }, () => backoff.next()), [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
});

test("jitter shortens a wait by half at the most", () => {
  assert.equal(new Backoff({ random: () => 1 }).next(), 500);
});

test("after a success the waits begin anew", () => {
  const backoff = new Backoff({ random: () => 0 });
  backoff.next();
  backoff.reset();
  assert.equal(backoff.next(), 1_000);
});

test("a sleep ends when its signal says so", async () => {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 5);
  const started = Date.now();
  await sleep(10_000, controller.signal);
  assert.ok(Date.now() - started < 1_000);
});
