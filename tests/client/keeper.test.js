import assert from "node:assert/strict";
import { test } from "node:test";
import { Keeper } from "../../static/client/keeper.js";

const refuse = () => {
  throw new Error("QuotaExceededError");
};

/** @param {Record<string, string>} [kept] */
function storage(kept = {}) {
  const methods = {
    getItem: (name) => kept[name] ?? null,
    setItem: (name, value) => void (kept[name] = value),
    removeItem: (name) => void delete kept[name],
  };
  return Object.setPrototypeOf(kept, methods);
}

test("what is kept is in the storage", () => {
  const kept = storage();
  const keeper = new Keeper(() => kept);
  keeper.setItem("a", "1");
  keeper.setItem("b", "2");
  keeper.removeItem("a");
  assert.deepEqual({ ...kept }, { b: "2" });
  assert.deepEqual([keeper.getItem("a"), keeper.getItem("b"), keeper.keys()], [null, "2", ["b"]]);
});

test("where the storage is blocked, it is in memory", () => {
  const keeper = new Keeper(refuse);
  keeper.setItem("a", "1");
  keeper.setItem("b", "2");
  keeper.removeItem("a");
  assert.deepEqual([keeper.getItem("a"), keeper.getItem("b"), keeper.keys()], [null, "2", ["b"]]);
});

test("where the storage is full, what it took is still read, and what it did not is not lost", () => {
  const kept = storage({ old: "1", changed: "1", going: "1" });
  const keeper = new Keeper(() => kept);
  const { setItem } = kept;
  Object.getPrototypeOf(kept).setItem = refuse;
  keeper.setItem("changed", "2");
  keeper.setItem("new", "3");
  keeper.removeItem("going");
  assert.deepEqual(["old", "changed", "new", "going"].map((name) => keeper.getItem(name)), ["1", "2", "3", null]);
  assert.deepEqual(keeper.keys().sort(), ["changed", "new", "old"]);
  Object.getPrototypeOf(kept).setItem = setItem;
  keeper.setItem("changed", "4");
  assert.deepEqual([kept.changed, keeper.getItem("changed")], ["4", "4"]);
});
