/**
 * What is kept in the browser, whether or not the browser lets it be: where its storage is blocked, full or missing,
 * the tab's memory takes its place, and what is kept lasts as long as the tab.
 */
export class Keeper {
  /** @param {() => Storage} find where access is blocked, to name the storage already throws */
  constructor(find) {
    this.find = find;
    /** What the storage did not take; null: it did not forget it either. @type {Map<string, string | null>} */
    this.memory = new Map();
  }

  /**
   * @param {string} name
   * @returns {string | null}
   */
  getItem(name) {
    const held = this.memory.get(name);
    return held === undefined ? this.trying((storage) => storage.getItem(name), null) : held;
  }

  /**
   * @param {string} name
   * @param {string} value
   */
  setItem(name, value) {
    this.memory.set(name, value);
    this.trying((storage) => {
      storage.setItem(name, value);
      this.memory.delete(name);
    }, undefined);
  }

  /** @param {string} name */
  removeItem(name) {
    this.memory.set(name, null);
    this.trying((storage) => {
      storage.removeItem(name);
      this.memory.delete(name);
    }, undefined);
  }

  /** @returns {string[]} */
  keys() {
    const stored = this.trying((storage) => Object.keys(storage), /** @type {string[]} */ ([]));
    return [...new Set([...stored, ...this.memory.keys()])].filter((name) => this.memory.get(name) !== null);
  }

  /**
   * @template T
   * @param {(storage: Storage) => T} act
   * @param {T} otherwise
   * @returns {T}
   */
  trying(act, otherwise) {
    try {
      return act(this.find());
    } catch {
      return otherwise;
    }
  }
}

/** The same in all tabs, and after the browser has been closed. */
export const browserKeeper = new Keeper(() => localStorage);

/** This tab's, also after a reload. */
export const tabKeeper = new Keeper(() => sessionStorage);
