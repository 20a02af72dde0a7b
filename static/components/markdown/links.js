const ALLOWED = new Set(["http:", "https:", "mailto:"]);
const LEADS_SOMEWHERE = /^(?:https?:|mailto:|\/)/i; // `x[i](j)` is code, and other pages there are none here

/**
 * Where a link from a model may lead, or null. `host` is what the reader is shown of it.
 * @param {string} url
 * @returns {{href: string, host: string} | null}
 */
export function safeLink(url) {
  if (!LEADS_SOMEWHERE.test(url.trim()) || !URL.canParse(url.trim(), location.href)) return null;
  const found = new URL(url.trim(), location.href);
  if (!ALLOWED.has(found.protocol)) return null;
  const isOurs = found.origin === location.origin;
  return { href: found.href, host: found.protocol === "mailto:" ? found.pathname : isOurs ? "" : found.host };
}
