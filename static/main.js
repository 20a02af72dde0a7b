import { render } from "preact";
import { html } from "./components/html.js";
import { ChatPage } from "./pages/chat-page.js";

render(html`<${ChatPage} />`, /** @type {HTMLElement} */ (document.getElementById("page")));

// Keeps the page itself, so that it opens without a network too. Trusted Types want the address vouched for.
if ("serviceWorker" in navigator) {
  const { trustedTypes } = /** @type {any} */ (window);
  const policy = trustedTypes?.createPolicy("xionimus", { createScriptURL: (/** @type {string} */ url) => url });
  const address = "/service-worker.js";
  navigator.serviceWorker.register(policy?.createScriptURL(address) ?? address).catch(() => {});
}
