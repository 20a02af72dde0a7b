import assert from "node:assert/strict";
import { test } from "node:test";
import { groupSiblings, newestBelow, pathTo } from "../../static/client/branches.js";
import { Conversation } from "../../static/client/conversation.js";
import { countCharacters, sha256 } from "../../static/client/proof.js";
import { answer } from "./fakes.js";

const question = (fields) => ({ ...answer(fields), role: "user", status: "completed", ...fields });
const chunk = (seq, offset, content) => ({ id: `e-${seq}`, type: "chunk", message_id: "a", chunk_id: seq, offset, content });
const complete = async (seq, text) => ({
  id: `e-${seq}`, type: "complete", message_id: "a", status: "completed", finish_reason: "stop", usage: null,
  length: countCharacters(text), sha256: await sha256(text), timestamp: "2026-01-01T00:00:01.000Z",
});

function listening() {
  const heard = { text: "", doubts: [], ended: [] };
  const conversation = new Conversation({
    onMessage: (message) => message && message.status !== "streaming" && heard.ended.push(message.status),
    onText: (_, text) => (heard.text += text),
    onThinking: () => {},
    onSession: () => {},
    onDoubt: (why) => heard.doubts.push(why),
  });
  conversation.load({ messages: [question({ id: "q", parent_id: null }), answer()], cursor: "e-0", has_more: false });
  return { conversation, heard };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 20));

test("chunks add up to the answer, and the proof holds", async () => {
  const { conversation, heard } = listening();
  conversation.apply([chunk(1, 0, "Grüße 👋🏽, "), chunk(2, 10, "世界")]);
  conversation.apply([await complete(3, "Grüße 👋🏽, 世界")]);
  await settled();
  assert.equal(conversation.messages.get("a").content, "Grüße 👋🏽, 世界");
  assert.equal(heard.text, "Grüße 👋🏽, 世界");
  assert.deepEqual(heard.doubts, []);
  assert.equal(conversation.cursor, "e-3");
});

test("a missing chunk is noticed by its offset", () => {
  const { conversation, heard } = listening();
  conversation.apply([chunk(1, 0, "abc"), chunk(3, 6, "ghi")]);
  assert.equal(heard.doubts.length, 1);
  assert.equal(conversation.messages.get("a").content, "abc");
});

test("a doubt is told once, and nothing counts until the history is read again", () => {
  const { conversation, heard } = listening();
  conversation.apply([chunk(1, 0, "abc"), chunk(3, 6, "ghi"), chunk(4, 9, "jkl")]);
  conversation.apply([chunk(5, 12, "mno")]);
  assert.equal(heard.doubts.length, 1);
  assert.equal(conversation.cursor, "e-3");
  conversation.load({ messages: [answer({ content: "abcdef", length: 6 })], cursor: "e-2", has_more: false });
  conversation.apply([chunk(3, 6, "ghi")]);
  assert.equal(conversation.messages.get("a").content, "abcdefghi");
  assert.equal(heard.doubts.length, 1);
});

test("a missing last chunk is noticed by the length", async () => {
  const { conversation, heard } = listening();
  conversation.apply([chunk(1, 0, "abc"), await complete(3, "abcdef")]);
  await settled();
  assert.equal(heard.doubts.length, 1);
});

test("another text of the same length is noticed by the digest", async () => {
  const { conversation, heard } = listening();
  conversation.apply([chunk(1, 0, "abc"), await complete(2, "abd")]);
  await settled();
  assert.deepEqual(heard.doubts, ["the digest differs"]);
});

test("thoughts of a failed attempt are void", () => {
  const { conversation } = listening();
  const about = { message_id: "a" };
  conversation.apply([
    { id: "e-1", type: "thinking", ...about, content: "in vain" },
    { id: "e-2", type: "retrying", ...about, attempt: 1, delay: 1, problem: { title: "Overloaded" } },
    { id: "e-3", type: "thinking", ...about, content: "anew" },
  ]);
  assert.equal(conversation.messages.get("a").thinking, "anew");
});

test("who is asked next is known from then on", () => {
  const { conversation } = listening();
  const failed = { id: "e-1", type: "retrying", message_id: "a", attempt: 3, delay: 0, problem: { title: "Overloaded" } };
  conversation.apply([{ ...failed, provider: "other", model: "m" }]);
  const { provider, model, retrying } = conversation.messages.get("a");
  assert.deepEqual([provider, model, retrying.elsewhere], ["other", "m", true]);
  conversation.apply([{ id: "e-2", type: "thinking", message_id: "a", content: "anew" }]);
  assert.equal(conversation.messages.get("a").retrying, null);
});

test("the answer to our own question may come before or after its events", () => {
  const { conversation } = listening();
  const accepted = { user_message: question({ id: "q2" }), message: answer({ id: "a2", parent_id: "q2" }) };
  conversation.apply([{ id: "e-1", type: "posted", message: accepted.user_message }]);
  conversation.apply([{ id: "e-2", type: "start", message_id: "a2", parent_id: "q2", timestamp: "" }]);
  conversation.messages.get("a2").content = "already";
  conversation.accept(accepted);
  assert.equal(conversation.messages.get("a2").content, "already");
  assert.equal(conversation.messages.size, 4);
});

test("unknown types and unknown messages are passed over", () => {
  const { conversation } = listening();
  conversation.apply([{ id: "e-1", type: "weather" }, { ...chunk(2, 0, "x"), message_id: "elsewhere" }]);
  assert.equal(conversation.cursor, "e-2");
});

test("older pages stand before, and a new first page keeps them", () => {
  const { conversation } = listening();
  conversation.prepend({ messages: [question({ id: "old" })], cursor: "", has_more: false });
  assert.deepEqual([...conversation.messages.keys()], ["old", "q", "a"]);
  conversation.load({ messages: [question({ id: "q" }), answer({ content: "x" })], cursor: "e-9", has_more: true });
  assert.deepEqual([...conversation.messages.keys()], ["old", "q", "a"]);
});

test("branches: the path to a leaf, its siblings, and the newest below", () => {
  const said = [["q1", null], ["a1", "q1"], ["q2", "a1"], ["a2", "q1"], ["q3", "a2"]];
  const messages = new Map(said.map(([id, parent_id]) => [id, { id, parent_id }]));
  assert.deepEqual(pathTo(messages, "q3").map(({ id }) => id), ["q1", "a2", "q3"]);
  assert.deepEqual(groupSiblings(messages).get("q1").map(({ id }) => id), ["a1", "a2"]);
  assert.equal(newestBelow(messages, "a1"), "q2");
  assert.equal(newestBelow(messages, "q1"), "q3");
});
