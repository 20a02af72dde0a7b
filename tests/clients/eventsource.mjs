// Reads a stream with npm's `eventsource`, a line of JSON an event, until the server says that there is no more.
import { EventSource } from "eventsource";

const TYPES = ["ready", "start", "thinking", "chunk", "sources", "retrying", "complete", "error", "reset"];

const source = new EventSource(process.argv[2]);
for (const type of TYPES) {
  source.addEventListener(type, (event) => {
    // `error` is also the name of trouble with the connection: the server's has data.
    if (event.data !== undefined) console.log(event.data);
  });
}
