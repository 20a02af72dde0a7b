import { signal } from "@preact/signals";

/** The dialog that is open. @typedef {"connection" | "settings" | "export" | null} Opened */

export const opened = signal(/** @type {Opened} */ (null));
