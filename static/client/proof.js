/**
 * Characters as the server counts them: code points, not UTF-16 units.
 * @param {string} text
 */
export function countCharacters(text) {
  let pairs = 0;
  for (let place = 0; place < text.length; place += 1) {
    const unit = text.charCodeAt(place);
    if (unit >= 0xd800 && unit < 0xdc00) pairs += 1;
  }
  return text.length - pairs;
}

/**
 * Hex of the text's UTF-8, or null where the browser has no digests (a page served by plain HTTP to the LAN).
 * @param {string} text
 */
export async function sha256(text) {
  if (!globalThis.crypto?.subtle) return null;
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
