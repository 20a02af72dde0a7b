import { api, isUnauthorized } from "../client/index.js";
import { forgetAll } from "./kept.js";
import { onNote, tellTabs } from "./notes.js";
import { trying } from "./trouble.js";

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
  await forgetAll();
  location.replace("/sign-in");
}

onNote((note) => note === "signed out" && leave());
