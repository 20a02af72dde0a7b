import assert from "node:assert/strict";
import { test } from "node:test";
import { follow } from "../../static/client/follow.js";
import { Ladder } from "../../static/client/ladder.js";
import { Backoff } from "../../static/client/timing.js";
import { json, ndjson, problem, ready, serve, unreachable } from "./fakes.js";

const chunk = (number) => ({ id: `e-${number}`, type: "chunk", content: String(number) });

/** Follow until `enough` events have come, or the log says that it is over. */
async function read({ enough = Infinity, cursor = "e-0", rung = "ndjson" } = {}) {
  const ladder = new Ladder();
  while (ladder.rung !== rung) ladder.down();
  const controller = new AbortController();
  const heard = { ids: [], resets: 0, phases: [], refusals: [], ladder };
  await follow({
    session: "s", cursor, ladder, signal: controller.signal, backoff: new Backoff({ first: 1, most: 2 }),
    onEvents: (after, events) => {
      heard.ids.push(...events.map(({ id }) => id));
      if (heard.ids.length >= enough) controller.abort();
    },
    onReset: () => (heard.resets += 1),
    onState: ({ phase, refused }) => {
      heard.phases.push(phase);
      heard.refusals.push(refused);
    },
  });
  return heard;
}

const page = (events, cursor) => json({ events, cursor, done: false });

test("a stream that is cut is taken up again with the cursor", async (context) => {
  const asked = serve(context, {
    "format=ndjson": [
      ndjson([ready("e-0"), chunk(1), chunk(2)]),
      ndjson([ready("e-2"), chunk(3)], { stays: true }),
    ],
    "format=json": [page([], "e-2")],
  });
  const { ids } = await read({ enough: 3 });
  assert.deepEqual(ids, ["e-1", "e-2", "e-3"]);
  assert.match(asked.filter(({ url }) => url.includes("ndjson"))[1].url, /after=e-2/);
});

test("what the look in between finds is not read twice", async (context) => {
  serve(context, {
    "format=ndjson": [ndjson([ready("e-0"), chunk(1)]), ndjson([ready("e-2"), chunk(3)], { stays: true })],
    "format=json": [page([chunk(2)], "e-2")],
  });
  assert.deepEqual((await read({ enough: 3 })).ids, ["e-1", "e-2", "e-3"]);
});

test("a server that is away says nothing against the way of reading", async (context) => {
  let tries = 0;
  const flaky = (then) => (...request) => (++tries < 20 ? unreachable() : then(...request));
  serve(context, {
    "format=ndjson": [flaky(ndjson([ready("e-0"), chunk(1)], { stays: true }))],
    "format=json": [flaky(page([], "e-0"))],
  });
  const { ids, ladder, phases } = await read({ enough: 1 });
  assert.deepEqual(ids, ["e-1"]);
  assert.equal(ladder.rung, "ndjson");
  assert.ok(phases.includes("waiting"));
});

test("a stream that fails while other requests get through is given up after five times", async (context) => {
  serve(context, {
    "format=ndjson": [ndjson([])],
    "format=json": [page([], "e-0"), page([], "e-0"), page([], "e-0"), page([], "e-0"), page([], "e-0"), page([chunk(1)], "e-1")],
  });
  const { ids, ladder } = await read({ enough: 1 });
  assert.deepEqual(ids, ["e-1"]);
  assert.equal(ladder.rung, "poll");
});

test("a stream that does not begin within three seconds is held back", async (context) => {
  const silent = ndjson([], { stays: true });
  serve(context, { "format=ndjson": [silent], "format=json": [page([], "e-0"), page([chunk(1)], "e-1")] });
  const { ladder } = await read({ enough: 1 });
  assert.equal(ladder.rung, "poll");
});

test("a reset is told, and reading goes on from where the history ends", async (context) => {
  serve(context, {
    "format=ndjson": [
      ndjson([ready("f-0"), { id: "f-0", type: "reset", reason: "epoch", cursor: "f-0" }], { stays: true }),
      ndjson([ready("f-7"), chunk(8)], { stays: true }),
    ],
    "/messages?": [json({ messages: [], cursor: "f-7", has_more: false })],
  });
  const heard = await read({ enough: 1 });
  assert.equal(heard.resets, 1);
  assert.deepEqual(heard.ids, ["e-8"]);
});

test("a refused cursor of a long-poll is a reset too", async (context) => {
  serve(context, {
    "format=json": [problem(409, "cursor_reset", { reason: "expired", cursor: "f-0" }), page([chunk(8)], "e-8")],
    "/messages?": [json({ messages: [], cursor: "f-7", has_more: false })],
  });
  const heard = await read({ enough: 1, rung: "poll" });
  assert.equal(heard.resets, 1);
});

test("a deleted session ends it", async (context) => {
  const deleted = { id: "e-1", type: "session", deleted: true };
  serve(context, { "format=ndjson": [ndjson([ready("e-0"), deleted], { stays: true })] });
  const { phases } = await read();
  assert.equal(phases.at(-1), "gone");
});

test("so does a session that is not there", async (context) => {
  serve(context, { "format=ndjson": [problem(404, "not_found")] });
  assert.equal((await read()).phases.at(-1), "gone");
});

test("but one that may not be read now is not gone", async (context) => {
  serve(context, {
    "format=ndjson": [problem(401, "unauthorized"), ndjson([ready("e-0"), chunk(1)], { stays: true })],
    "format=json": [problem(401, "unauthorized")],
  });
  const { ids, phases, refusals } = await read({ enough: 1 });
  assert.deepEqual(ids, ["e-1"]);
  assert.ok(!phases.includes("gone"));
  assert.deepEqual([refusals.includes("unauthorized"), refusals.at(-1)], [true, undefined]);
});

test("a stream that comes late from some point on is left in the middle, with its cursor", async (context) => {
  let now = Date.parse("2026-01-01T00:00:00Z");
  context.mock.method(Date, "now", () => (now += 3_000)); // each look at the clock is three seconds later
  const stamped = (event, milliseconds) => ({ ...event, timestamp: `2026-01-01T00:00:00.${milliseconds}Z` });
  const opened = { ...ready("e-0"), server_time: "2026-01-01T00:00:00.100Z" };
  const at = (place) => `2026-01-01T00:00:0${place}.000Z`;
  const ticks = Array.from({ length: 8 }, (_, place) => ({ number: place + 1, of: 8, server_time: at(place) }));
  const asked = serve(context, {
    "/events?after=e-0": [ndjson([opened, stamped(chunk(1), 101), stamped(chunk(2), 102)], { stays: true })],
    "/probe?": [ndjson(ticks)],
    "/events?after=e-2": [page([chunk(3)], "e-3")],
  });
  const { ids, ladder } = await read({ enough: 3 });
  assert.deepEqual(ids, ["e-1", "e-2", "e-3"]);
  assert.equal(ladder.rung, "poll");
  assert.match(asked.at(-1).url, /format=json/);
});

test("nor is one of which only something on the way says so", async (context) => {
  const stranger = () => new Response("<h1>Not found</h1>", { status: 404 });
  serve(context, {
    "format=ndjson": [stranger, ndjson([ready("e-0"), chunk(1)], { stays: true })],
    "format=json": [stranger, page([], "e-0")],
  });
  const { ids, phases } = await read({ enough: 1 });
  assert.deepEqual(ids, ["e-1"]);
  assert.ok(!phases.includes("gone"));
});
