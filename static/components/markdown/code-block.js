import { announce } from "../announcer.js";
import { copyText } from "../clipboard.js";
import { highlight, loadHighlighter } from "./highlighter.js";
import { PaintQueue } from "./paint-queue.js";

/** @import { Highlighter } from "./highlighter.js" */

const FREEZE_AT = 1_500; // characters that are highlighted anew with each piece
const FREEZE_ANYWAY = 20_000;

/** @type {Highlighter | null} */
let highlighter = null;
/** @type {PaintQueue<CodeBlock>} */
const queue = new PaintQueue(async () => {
  highlighter ??= await loadHighlighter().catch(() => null);
});

/**
 * Code that is highlighted while it grows. Only its last piece is highlighted again: what lies before a line at
 * whose end nothing is open can not change any more, so that a long block costs no more than a short one.
 */
export class CodeBlock {
  constructor() {
    this.language = "";
    this.text = "";
    this.live = ""; // what of it is highlighted anew with each piece
    this.freezeAt = FREEZE_AT;
    this.label = element("span", "code-language", "text");
    this.code = element("code");
    this.tail = this.code.appendChild(element("span"));
    this.figure = this.build();
  }

  build() {
    const figure = element("figure", "code");
    const caption = element("figcaption");
    const pre = element("pre");
    pre.tabIndex = 0; // it may scroll sideways, and that must work by keyboard
    pre.append(this.code);
    caption.append(this.label, this.copyButton());
    figure.append(caption, pre);
    return figure;
  }

  copyButton() {
    const button = element("button", "quiet", "Copy");
    button.type = "button";
    button.addEventListener("click", async () => {
      button.textContent = (await copyText(this.text)) ? "Copied" : "Not copied";
      announce(`${button.textContent}.`);
      setTimeout(() => (button.textContent = "Copy"), 1_500);
    });
    return button;
  }

  /** @param {string} info what stands behind the opening fence */
  setInfo(info) {
    this.language = info.trim().split(/\s/, 1)[0].toLowerCase();
    const label = info.trim() || "text";
    if (this.label.textContent !== label) this.label.textContent = label;
  }

  /**
   * Whether `text`, put behind so many characters of what is here, only goes on from it.
   * @param {string} text
   * @param {number} from
   */
  continues(text, from) {
    return text.startsWith(this.text.slice(from));
  }

  /** @param {string} text */
  append(text) {
    if (!text) return;
    this.text += text;
    this.live += text;
    this.tail.append(text);
    queue.add(this);
  }

  /** Highlight what is new. */
  paint() {
    if (!highlighter?.getLanguage(this.language)) return;
    if (this.live.length > this.freezeAt) this.freeze(highlighter);
    this.tail.replaceChildren(highlight(highlighter, this.live, this.language).nodes);
  }

  /** @param {Highlighter} by */
  freeze(by) {
    const end = this.live.lastIndexOf("\n") + 1 || (this.live.length > FREEZE_ANYWAY ? this.live.length : 0);
    const { nodes, complete } = highlight(by, this.live.slice(0, end), this.language);
    if (!complete && this.live.length < FREEZE_ANYWAY) {
      this.freezeAt = this.live.length * 1.5;
      return;
    }
    this.tail.before(nodes);
    this.live = this.live.slice(end);
    this.freezeAt = FREEZE_AT;
  }
}

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} [className]
 * @param {string} [text]
 */
function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}
