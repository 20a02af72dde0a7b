/** @import { History, Session } from "./types.js" */

/**
 * What was read last, kept in the browser: it shows at once, also without a network.
 * Every failure is silent: a cache that does not work is a cache that has nothing.
 */
export class Cache {
  constructor(name = "xionimus") {
    /** @type {Promise<IDBDatabase> | null} */
    this.database = null;
    this.name = name;
    this.destroyed = false;
  }

  /**
   * @param {string} session
   * @returns {Promise<History | undefined>}
   */
  history(session) {
    return this.request("readonly", (store) => store.get(`history:${session}`));
  }

  /**
   * @param {string} session
   * @param {History} history
   */
  keepHistory(session, history) {
    return this.request("readwrite", (store) => store.put(history, `history:${session}`));
  }

  /** @param {string} session */
  forgetHistory(session) {
    return this.request("readwrite", (store) => store.delete(`history:${session}`));
  }

  /** Of the sessions that have a history here. @returns {Promise<string[]>} */
  async sessionsWithHistory() {
    const names = (await this.request("readonly", (store) => store.getAllKeys())) ?? [];
    const prefix = "history:";
    return names.filter((/** @type {string} */ name) => name.startsWith(prefix)).map((/** @type {string} */ name) => name.slice(prefix.length));
  }

  /** @returns {Promise<Session[] | undefined>} */
  sessions() {
    return this.request("readonly", (store) => store.get("sessions"));
  }

  /** @param {Session[]} sessions */
  keepSessions(sessions) {
    return this.request("readwrite", (store) => store.put(sessions, "sessions"));
  }

  /** Forget all, and keep nothing any more. */
  async destroy() {
    this.destroyed = true;
    try {
      (await this.database)?.close();
      await settled(indexedDB.deleteDatabase(this.name));
    } catch {
      // There was none.
    }
  }

  /**
   * @param {IDBTransactionMode} mode
   * @param {(store: IDBObjectStore) => IDBRequest} run
   * @returns {Promise<any>}
   */
  async request(mode, run) {
    try {
      if (this.destroyed) return undefined;
      this.database ??= open(this.name);
      const transaction = (await this.database).transaction("kept", mode);
      return await settled(run(transaction.objectStore("kept")));
    } catch {
      return undefined;
    }
  }
}

/**
 * @param {string} name
 * @returns {Promise<IDBDatabase>}
 */
async function open(name) {
  const opening = indexedDB.open(name, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore("kept");
  const database = await settled(opening);
  database.onversionchange = () => database.close(); // another tab deletes it
  return database;
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
