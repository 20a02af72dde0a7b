import assert from "node:assert/strict";
import { test } from "node:test";
import { probe, verdict } from "../../static/client/probe.js";
import { problem, serve } from "./fakes.js";

const ticks = (arrivals) => arrivals.map((at, place) => ({ number: place + 1, of: 8, at, server: place * 250 }));

test("ticks that come one by one stream", () => {
  assert.equal(verdict(ticks([0, 250, 500, 750, 1_000, 1_250, 1_500, 1_750])), "streams");
});

test("ticks that come together were held back", () => {
  assert.equal(verdict(ticks([1_800, 1_801, 1_802, 1_803, 1_804, 1_805, 1_806, 1_807])), "held back");
});

test("too few of them broke off", () => {
  assert.equal(verdict(ticks([0, 250])), "incomplete");
  assert.equal(verdict([]), "incomplete");
});

test("a refusal is no stream that breaks off", async (context) => {
  for (const status of [401, 429, 502]) {
    serve(context, { probe: [problem(status, "refused")] });
    await assert.rejects(probe("sse", AbortSignal.timeout(1_000)), { reason: "refused" });
    context.mock.restoreAll();
  }
});
