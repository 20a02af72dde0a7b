import { render } from "preact";
import { html } from "./components/html.js";
import { ChatPage } from "./pages/chat-page.js";

render(html`<${ChatPage} />`, /** @type {HTMLElement} */ (document.getElementById("page")));

if ("serviceWorker" in navigator) keepPage().catch(() => {});

/** Has the service worker keep the page itself, so that it opens without a network too. */
async function keepPage() {
  const { trustedTypes } = /** @type {any} */ (window);
  const policy = trustedTypes?.createPolicy("xionimus", { createScriptURL: (/** @type {string} */ url) => url });
  const address = "/service-worker.js";
  await navigator.serviceWorker.register(policy?.createScriptURL(address) ?? address);
  const { active } = await navigator.serviceWorker.ready;
  // What was loaded before it was there has passed it by.
  const loaded = performance.getEntriesByType("resource").map((entry) => entry.name);
  const ours = loaded.filter((url) => new URL(url).pathname.startsWith("/static/"));
  active?.postMessage({ urls: ["/", ...ours], folder: new URL(".", import.meta.url).href });
}
