import assert from "node:assert/strict";
import { test } from "node:test";
import { InOrder } from "../../static/client/in-order.js";

const events = (...numbers) => numbers.map((number) => ({ id: `e-${number}`, type: "chunk" }));
const ids = (taken) => taken?.map(({ id }) => id);

test("what comes directly after is taken whole", () => {
  const order = new InOrder("e-0");
  assert.deepEqual(ids(order.take("e-0", events(1, 2))), ["e-1", "e-2"]);
  assert.equal(order.cursor, "e-2");
});

test("of what overlaps, only the new part is", () => {
  const order = new InOrder("e-0");
  order.take("e-0", events(1, 2));
  assert.deepEqual(ids(order.take("e-1", events(2, 3))), ["e-3"]);
});

test("what is known is nothing new", () => {
  const order = new InOrder("e-0");
  order.take("e-0", events(1, 2, 3));
  assert.deepEqual(order.take("e-0", events(1, 2)), []);
});

test("a gap is told, and nothing is taken", () => {
  const order = new InOrder("e-0");
  assert.equal(order.take("e-4", events(5)), null);
  assert.equal(order.cursor, "e-0");
});
