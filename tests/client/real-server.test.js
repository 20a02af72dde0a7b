/** The client against a real server, whose address XIONIMUS_URL gives; tests/client/test_client.py starts one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Conversation, api, countCharacters, follow, newId, sha256 } from "../../static/client/index.js";
import { Ladder } from "../../static/client/ladder.js";

const SERVER = process.env.XIONIMUS_URL;
const options = { skip: SERVER ? false : "XIONIMUS_URL is not set; run it by pytest tests/client" };
const fetchFromHere = globalThis.fetch;
globalThis.fetch = (url, init) => fetchFromHere(new URL(url, SERVER), init); // a browser does this by itself

/** Read a session from a cursor until an answer in it has ended. */
async function readToTheEnd(session, conversation, rung) {
  const controller = new AbortController();
  const ladder = new Ladder();
  while (ladder.rung !== rung) ladder.down();
  const ended = (events) => events.some(({ type }) => type === "complete" || type === "error");
  await follow({
    session, cursor: conversation.cursor, ladder, signal: controller.signal, onReset: assert.fail,
    onEvents: (after, events) => {
      conversation.apply(events);
      if (ended(events)) controller.abort();
    },
  });
}

const silent = () => new Conversation({
  onMessage() {}, onText() {}, onThinking() {}, onSession() {}, onDoubt: (why) => assert.fail(why),
});

for (const rung of ["ndjson", "poll"]) {
  test(`an answer is read by ${rung} as the server keeps it`, options, async () => {
    const session = newId();
    const asked = "Zwölf Boxkämpfer 👋🏽 jagen Viktor quer über den großen Sylter Deich 🇩🇪 ".repeat(5);
    const accepted = await api.ask(session, { content: asked, model: "echo" }, newId());
    const conversation = silent();
    conversation.load({ ...(await api.history(session)), messages: [], cursor: accepted.cursor });
    conversation.accept(accepted);
    await readToTheEnd(session, conversation, rung);
    const read = conversation.messages.get(accepted.message.id);
    const [, kept] = (await api.history(session)).messages;
    assert.equal(read.content, kept.content);
    assert.equal(countCharacters(read.content), kept.length);
    assert.equal(await sha256(read.content), kept.sha256);
  });
}

test("history read in the middle of an answer is continued exactly", options, async () => {
  const session = newId();
  await api.ask(session, { content: "Go", model: "demo" }, newId());
  await new Promise((resolve) => setTimeout(resolve, 300));
  const conversation = silent();
  conversation.load(await api.history(session));
  assert.ok([...conversation.messages.values()][1].content.length > 0);
  await readToTheEnd(session, conversation, "ndjson");
  const [, kept] = (await api.history(session)).messages;
  assert.equal([...conversation.messages.values()][1].content, kept.content);
});

test("the same key asks once", options, async () => {
  const session = newId();
  const key = newId();
  const question = { content: "once", model: "echo" };
  const [first, second] = [await api.ask(session, question, key), await api.ask(session, question, key)];
  assert.equal(first.message.id, second.message.id);
});

test("a refusal carries the server's own account", options, async () => {
  await assert.rejects(api.history("no-such-session"), { name: "ProblemError", code: "not_found" });
});
