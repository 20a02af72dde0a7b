import assert from "node:assert/strict";
import { test } from "node:test";
import { DelayMeter } from "../../static/client/delay.js";
import { Ladder } from "../../static/client/ladder.js";
import { memory } from "./fakes.js";

test("five failures in a row lead to the next rung", () => {
  const ladder = new Ladder();
  for (let count = 0; count < 4; count += 1) ladder.failed();
  assert.equal(ladder.rung, "sse");
  ladder.failed();
  assert.equal(ladder.rung, "ndjson");
});

test("a success in between begins the count anew", () => {
  const ladder = new Ladder();
  for (let count = 0; count < 4; count += 1) ladder.failed();
  ladder.worked();
  ladder.failed();
  assert.equal(ladder.rung, "sse");
});

test("data that is held back needs no second proof", () => {
  const ladder = new Ladder();
  ladder.down();
  ladder.down();
  ladder.down();
  assert.equal(ladder.rung, "poll");
});

test("what was found is remembered for ten minutes", () => {
  const storage = memory();
  let now = 0;
  const clock = () => now;
  const ladder = new Ladder({ storage, clock });
  ladder.down();
  assert.equal(new Ladder({ storage, clock }).rung, "ndjson");
  now = 600_001;
  assert.equal(new Ladder({ storage, clock }).rung, "sse");
  assert.equal(ladder.rung, "sse");
  ladder.down();
  assert.equal(ladder.rung, "ndjson");
});

test("another network begins at the top", () => {
  const storage = memory();
  const ladder = new Ladder({ storage });
  ladder.down();
  ladder.forget();
  assert.equal(ladder.rung, "sse");
  assert.equal(new Ladder({ storage }).rung, "sse");
});

test("a live event that comes late was held back, whatever the two clocks say", () => {
  let now = 1_000_000; // the server's clock is far behind
  const meter = new DelayMeter(() => now);
  const at = (milliseconds) => new Date(milliseconds).toISOString();
  assert.equal(meter.heldBack({ type: "ready", id: "x", server_time: at(0) }), false);
  now += 1_000;
  assert.equal(meter.heldBack({ type: "start", id: "x", timestamp: at(900) }), false);
  now += 9_000;
  assert.equal(meter.heldBack({ type: "complete", id: "x", timestamp: at(2_000) }), true);
});

test("events from before the connection are late by nature", () => {
  const meter = new DelayMeter(() => 100_000);
  meter.heldBack({ type: "ready", id: "x", server_time: new Date(100_000).toISOString() });
  assert.equal(meter.heldBack({ type: "complete", id: "x", timestamp: new Date(5).toISOString() }), false);
});
