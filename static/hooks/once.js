import { sleep } from "../client/index.js";

const DOUBLE_CLICK = 500; // milliseconds within which a second click belongs to the first

/** What has been asked for and is not done yet. @type {Set<string>} */
const underWay = new Set();

/**
 * Do it, unless it is being done or has only just been: a double click asks for it once.
 * @param {string} what
 * @param {() => Promise<unknown>} act
 */
export async function once(what, act) {
  if (underWay.has(what)) return;
  underWay.add(what);
  const calm = sleep(DOUBLE_CLICK);
  try {
    await act();
  } finally {
    calm.then(() => underWay.delete(what));
  }
}
