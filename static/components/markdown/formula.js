import { PaintQueue } from "./paint-queue.js";
import { loadTypesetter, typeset } from "./typesetter.js";

/** @import { Typesetter } from "./typesetter.js" */

/** @type {Typesetter | null} */
let typesetter = null;
/** @type {PaintQueue<Formula>} */
const queue = new PaintQueue(async () => {
  typesetter ??= await loadTypesetter().catch(() => null);
});

/**
 * A formula that is whole, set once. Until then, and if it can not be set, its source stands in its element: no sign
 * of it is lost.
 */
export class Formula {
  /**
   * @param {HTMLElement} element with the source
   * @param {import("./parser.js").Formula} formula
   */
  constructor(element, { source, tex, isDisplay }) {
    this.element = element;
    this.source = source;
    this.tex = tex;
    this.isDisplay = isDisplay;
    queue.add(this);
  }

  /**
   * @param {string} tag
   * @param {import("./parser.js").Formula} formula
   */
  isSame(tag, { source, isDisplay }) {
    return this.element.localName === tag && this.source === source && this.isDisplay === isDisplay;
  }

  paint() {
    const made = typesetter && typeset(typesetter, this.tex, this.isDisplay);
    if (!made) return;
    this.element.replaceChildren(made);
    this.element.classList.add(this.isDisplay ? "displayed" : "within");
    if (!this.isDisplay) return;
    this.element.tabIndex = 0; // it may scroll sideways, and that must work by keyboard
    this.element.role = "group";
    this.element.ariaLabel = "Formula";
  }
}
