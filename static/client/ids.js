const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** An unguessable id. (`crypto.randomUUID` does not exist on a page served by plain HTTP to the LAN.) */
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(21)), (byte) => LETTERS[byte & 63]).join("");
}
