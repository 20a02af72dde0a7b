import assert from "node:assert/strict";
import { test } from "node:test";
import { Pacer } from "../../static/components/pacer.js";

/** What has been shown after each of so many frames of a screen that shows sixty a second. */
function shownBy(context, text, frames, speed = "calm") {
  const waiting = [];
  let now = 0;
  context.mock.method(performance, "now", () => now);
  globalThis.requestAnimationFrame = (run) => waiting.push(run);
  context.after(() => delete globalThis.requestAnimationFrame);
  const shown = [""];
  const pacer = new Pacer((piece) => (shown[0] += piece));
  pacer.set(speed, false);
  pacer.push(text);
  for (let frame = 0; frame < frames; frame += 1) {
    now += 1_000 / 60;
    waiting.shift()?.(now);
    shown.push(shown[0]);
  }
  return shown.slice(1);
}

test("text without spaces is shown at its speed too", (context) => {
  const text = "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。".repeat(10);
  const shown = shownBy(context, text, 61);
  assert.ok(shown[60].length > 50 && shown[60].length <= 61, String(shown[60].length));
  assert.ok(new Set(shown).size > 20, "piece by piece");
});

test("no word is cut", (context) => {
  const text = "Reading aloud takes longer, doesn't it? ".repeat(10);
  for (const shown of shownBy(context, text, 120)) {
    assert.ok(!/[\w']$/.test(shown) || !/^[\w']/.test(text.slice(shown.length)), shown);
  }
});

test("but for one that is very long, and then not a character", (context) => {
  const family = "👨‍👩‍👧‍👦";
  const shown = shownBy(context, family.repeat(60), 120);
  assert.ok(shown[119].length > 40);
  for (const each of shown) assert.equal(each.length % family.length, 0);
  assert.ok(shownBy(context, "x".repeat(300), 120)[119].length > 100);
});
