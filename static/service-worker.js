/**
 * Keeps the page's own files, so that it opens without a network. The network goes first: a file from here is only
 * used when the server cannot be reached. What people wrote is not its business.
 */
const worker = /** @type {any} */ (self);
const NAME = "xionimus-page";

worker.addEventListener("install", () => worker.skipWaiting());
worker.addEventListener("activate", (/** @type {any} */ event) => event.waitUntil(worker.clients.claim()));
worker.addEventListener("message", (/** @type {any} */ event) => event.waitUntil(keep(event.data)));
worker.addEventListener("fetch", (/** @type {any} */ event) => {
  const { method, url } = event.request;
  const { origin, pathname } = new URL(url);
  const isOurs = origin === location.origin && (pathname === "/" || pathname.startsWith("/static/"));
  if (method === "GET" && isOurs) event.respondWith(fromNetworkOrCache(event.request));
});

/** @param {Request} request */
async function fromNetworkOrCache(request) {
  const cache = await caches.open(NAME);
  try {
    const response = await fetch(request);
    if (response.ok) cache.put(request, response.clone());
    return response;
  } catch (error) {
    const kept = await cache.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}

/**
 * Keep what the page has loaded, and nothing of its earlier versions: their addresses begin with another folder.
 * @param {{ urls: string[], folder: string }} page
 */
async function keep({ urls, folder }) {
  const cache = await caches.open(NAME);
  const known = (await cache.keys()).map((request) => request.url);
  await cache.addAll(urls.filter((url) => !known.includes(new URL(url, location.href).href)));
  const old = known.filter((url) => url.includes("/static/") && !url.startsWith(folder));
  await Promise.all(old.map((url) => cache.delete(url)));
}
