import { parse } from "./parser.js";
import { patch } from "./patch.js";
import { elementNode, textsOf, treeOf } from "./tree.js";

/** @import { Block, Element as TreeElement } from "./tree.js" */

const REST = 4; // times as long as a costly rendering took, until the next one
const COSTLY = 4; // milliseconds
/** The beginning of a line of which nobody knows yet what it will be: "1", "- ", "``" or "```py". */
const UNDECIDED = /^(?:[-+*_=#`~|:$\\[\]\s>.)\d]*(?:\[x\]?\s*)?|[-+*>\s\d.)]*(?:```|~~~|\$\$|\\\[)[^]*)$/i;

/**
 * Markdown that is written piece by piece into an element. Only its last block is parsed again while it grows; of a
 * list only the last item, of a table the last row, and of code the last line, so that a piece costs the same at the
 * end of a long answer as at its beginning.
 */
export class MarkdownView {
  /**
   * @param {HTMLElement} root
   * @param {(text: string, isWhole: boolean) => void} [onProse] hears the text of a paragraph or the like, from its
   *   beginning, whenever it has grown: without marks, and of code only that there is some
   */
  constructor(root, onProse = () => {}) {
    this.root = root;
    this.onProse = onProse;
    this.written = "";
    this.source = ""; // of what may still change
    this.finished = 0; // blocks before that
    this.finishedParts = 0; // of the first block that may still change
    this.depth = -1; // of the last finished heading
    this.heard = 0; // texts in the source that were heard to their end
    this.ended = false;
    this.isPlain = false;
    this.restUntil = 0;
    this.timer = 0;
    root.replaceChildren();
  }

  /** @param {string} text */
  write(text) {
    this.written += text;
    this.source += text;
    const rest = this.restUntil - performance.now();
    if (rest <= 0) this.render();
    else this.timer ||= setTimeout(() => this.render(), rest);
  }

  end() {
    if (this.ended) return;
    this.ended = true;
    this.render();
  }

  stop() {
    clearTimeout(this.timer);
  }

  /** Markdown that cannot be shown as such is shown as it is: losing text is worse than losing its form. */
  render() {
    this.stop();
    this.timer = 0;
    const started = performance.now();
    try {
      if (!this.isPlain) this.renderSource();
    } catch (error) {
      reportError(error);
      this.isPlain = true;
    }
    if (this.isPlain) patch(this.root, [elementNode("pre", { class: "unparsed" }, [this.written])]);
    const now = performance.now();
    if (now - started > COSTLY) this.restUntil = now + REST * (now - started);
  }

  renderSource() {
    const source = this.source.replace(this.ended ? /\r\n?/g : /\r\n|\r(?!$)/g, "\n");
    const known = this.ended ? source : source.slice(0, lengthKnown(source));
    const blocks = treeOf(parse(known, !this.ended), this.depth);
    if (this.finishedParts) partsOf(blocks[0]).finished = this.finishedParts;
    patch(this.root, blocks, this.finished);
    this.speak(blocks);
    if (!this.ended && blocks.length) this.source = this.finish(known, blocks) + source.slice(known.length);
  }

  /** @param {Block[]} blocks that may still change */
  speak(blocks) {
    const texts = textsOf(blocks);
    const last = this.ended ? [] : textsOf(blocks.slice(-1).map(lastPartOf));
    const written = last.findLastIndex(Boolean) + 1; // the row of a table has all its cells before they are written
    const whole = texts.length - last.length + Math.max(written - 1, 0);
    for (; this.heard < whole; this.heard += 1) this.onProse(texts[this.heard], true);
    if (written) this.onProse(texts[whole], false);
  }

  /**
   * Let go of what cannot change any more.
   * @param {string} text
   * @param {Block[]} blocks
   * @returns {string} what of the text still can
   */
  finish(text, blocks) {
    const last = blocks[blocks.length - 1];
    if (blocks.length > 1) {
      this.letGo(blocks.slice(0, -1));
      this.finished += blocks.length - 1;
      this.finishedParts = 0;
    }
    const start = startOf(text, last.line);
    if ("code" in last) return last.isOpen ? this.finishCode(text.slice(start), last.code) : text.slice(start);
    const part = lastPartOf(last);
    const parts = hasParts(last) ? partsOf(last).children.slice(0, -1) : [];
    if (!parts.length) return text.slice(start);
    this.letGo(parts);
    this.finishedParts += parts.length;
    const rest = text.slice(startOf(text, part.line));
    return last.attributes.class === "table" ? text.slice(start, startOf(text, last.line + 2)) + rest : rest;
  }

  /**
   * @param {string} text from the opening fence on
   * @param {string} code
   */
  finishCode(text, code) {
    const line = text.lastIndexOf("\n", text.length - 2) + 1;
    const opening = text.indexOf("\n") + 1;
    if (line <= opening) return text;
    this.finishedParts += code.lastIndexOf("\n") + 1;
    return text.slice(0, opening) + text.slice(line);
  }

  /** @param {Block[]} blocks */
  letGo(blocks) {
    this.heard -= textsOf(blocks).length;
    this.depth = blocks[blocks.length - 1].depth ?? this.depth;
  }
}

/**
 * How much of the text is known to be what it looks like.
 * @param {string} text
 */
function lengthKnown(text) {
  const line = text.lastIndexOf("\n") + 1;
  return UNDECIDED.test(text.slice(line)) ? line : text.replace(/\r$/, "").length;
}

/**
 * Where a line of the text begins.
 * @param {string} text
 * @param {number} line
 */
function startOf(text, line) {
  let start = 0;
  for (; line > 0; line -= 1) start = text.indexOf("\n", start) + 1 || text.length;
  return start;
}

/**
 * Lists and tables are finished part by part.
 * @param {TreeElement} block
 */
function hasParts({ tag, attributes }) {
  return tag === "ul" || tag === "ol" || attributes.class === "table";
}

/**
 * @param {Block} block
 * @returns {Block}
 */
function lastPartOf(block) {
  return "code" in block || !hasParts(block) ? block : partsOf(block).children.at(-1);
}

/**
 * What has the items of a list, or the rows of a table, or the text of code.
 * @param {Block} block
 * @returns {any}
 */
function partsOf(block) {
  if ("code" in block || block.attributes.class !== "table") return block;
  const table = /** @type {TreeElement} */ (block.children[0]);
  return table.children[1] ?? table;
}
