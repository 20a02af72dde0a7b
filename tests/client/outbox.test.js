import assert from "node:assert/strict";
import { test } from "node:test";
import { Outbox } from "../../static/client/outbox.js";
import { memory } from "./fakes.js";

test("what was not confirmed survives, in its order, under its key", () => {
  const storage = memory();
  const outbox = new Outbox(storage, "s");
  outbox.put({ key: "1", question: { content: "one" }, status: "sending" });
  outbox.put({ key: "2", question: { content: "two" }, status: "sending" });
  outbox.put({ key: "1", question: { content: "one" }, status: "failed", why: "away" });
  assert.deepEqual(new Outbox(storage, "s").all().map(({ key, status }) => [key, status]), [["1", "failed"], ["2", "sending"]]);
  outbox.remove("1");
  outbox.remove("2");
  assert.equal(storage.getItem("xionimus:outbox:s"), null);
});
