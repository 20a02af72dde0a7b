import { opened } from "../hooks/opened.js";
import { remedyFor } from "../hooks/words.js";
import { html } from "./html.js";

/**
 * The way to what helps, where something does.
 * @param {{code: string | undefined, session: string}} props
 */
export function Remedy({ code, session }) {
  const remedy = remedyFor(code);
  if (remedy === "sign in") return html`<${SignIn} session=${session} />`;
  if (remedy === "settings") return html`<button type="button" onClick=${() => (opened.value = "settings")}>Settings</button>`;
  return null;
}

/** @param {{session: string}} props the chat to come back to */
export function SignIn({ session }) {
  return html`<a href="/sign-in?next=/%23${session}">Sign in</a>`;
}
