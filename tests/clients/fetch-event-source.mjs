// Reads a stream with `@microsoft/fetch-event-source`, a line of JSON an event, until it ends cleanly.
globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };

const { fetchEventSource } = await import("@microsoft/fetch-event-source");

await fetchEventSource(process.argv[2], {
  onmessage(message) {
    console.log(message.data);
  },
});
