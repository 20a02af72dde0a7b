import { api, isUnauthorized, sleep } from "../client/index.js";
import { forgetAll } from "./kept.js";
import { onNote, tellTabs } from "./notes.js";
import { trying } from "./trouble.js";

const FORGOTTEN_WITHIN = 1_000; // milliseconds

export function signOut() {
  return trying("Not signed out.", async () => {
    try {
      await api.signOut();
    } catch (error) {
      if (!isUnauthorized(error)) throw error; // else nobody was signed in
    }
    tellTabs("signed out");
    await leave();
  });
}

/** The server asks browsers to forget, but not all of them do, and none by plain HTTP. */
async function leave() {
  await Promise.race([forgetAll(), sleep(FORGOTTEN_WITHIN)]); // a tab that sleeps holds up the deletion, not the way out
  location.replace("/sign-in");
}

onNote((note) => note === "signed out" && leave());
