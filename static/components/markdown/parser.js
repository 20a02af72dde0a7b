import MarkdownIt from "markdown-it";
import { safeLink } from "./links.js";

/**
 * CommonMark with GFM's tables, strikethrough and addresses, as tokens. Raw HTML stays text. What differs from the
 * two has one reason: nothing that a model wrote may get lost, and what is shown must not change by what comes later.
 *
 * @import { StateBlock, StateInline, StateCore, Token } from "markdown-it"
 * @typedef {object} Formula
 * @property {string} source
 * @property {string} tex what stands between its marks
 * @property {boolean} isDisplay on lines of its own
 */

const DEEPEST = 60; // the parser drops what is nested deeper than its own limit of 100
const [asTable] = new MarkdownIt("zero").enable("table").block.ruler.getRules("");

const markdown = new MarkdownIt({ linkify: true });
markdown.disable("reference"); // a definition would vanish, and change text that was shown long before
markdown.linkify.set({ fuzzyLink: false, fuzzyEmail: false }).add("//", null).add("ftp:", null);
markdown.validateLink = (url) => safeLink(url) !== null;
markdown.normalizeLinkText = (url) => url;
markdown.core.ruler.at("inline", parseInlines);
markdown.block.ruler.before("table", "too_deep", asDeepText);
markdown.block.ruler.at("table", asWholeTable, { alt: ["paragraph", "reference"] });
markdown.block.ruler.before("fence", "math_block", asMathBlock, { alt: ["paragraph", "blockquote", "list"] });
markdown.inline.ruler.before("escape", "math", asMath);
markdown.inline.ruler.before("backticks", "open_code", asOpenCode);
markdown.inline.ruler.before("emphasis", "name", asName);
markdown.inline.ruler2.after("balance_pairs", "open_marks", closeOpenMarks);

/**
 * @param {string} text
 * @param {boolean} isGrowing marks that are open at its end are taken for closed, so that text does not jump when
 *   they are
 * @returns {Token[]}
 */
export function parse(text, isGrowing) {
  return markdown.parse(text, { isGrowing });
}

/** @param {StateCore} state */
function parseInlines(state) {
  const last = state.env.isGrowing ? state.tokens.findLast(({ nesting }) => nesting >= 0) : null;
  for (const token of state.tokens) {
    if (token.type !== "inline") continue;
    const isOpen = token === last;
    const text = isOpen ? withoutHalfMarks(token.content) : token.content;
    state.md.inline.parse(text, state.md, { isOpen }, token.children ?? []);
  }
}

/**
 * Without the start of a mark at its end, and of an open link only what will be shown of it.
 * @param {string} text
 */
function withoutHalfMarks(text) {
  return text.replace(/!?\[([^[\]]*)\]\([^\s()]*$/, "$1").replace(/[*_~`\\]+$/, "");
}

/**
 * @param {StateBlock} state
 * @param {number} startLine
 * @param {number} endLine
 */
function asDeepText(state, startLine, endLine) {
  if (state.level < DEEPEST) return false;
  state.line = endLine;
  pushParagraph(state, state.getLines(startLine, endLine, state.blkIndent, false), startLine);
  return true;
}

/**
 * A row's cells beyond the last column stay in it; GFM drops them, and models forget to escape a `|` in code.
 * @param {StateBlock} state
 * @param {number} startLine
 * @param {number} endLine
 * @param {boolean} silent
 */
function asWholeTable(state, startLine, endLine, silent) {
  const first = state.tokens.length;
  if (!asTable(state, startLine, endLine, silent)) return false;
  const columns = state.tokens.slice(first).filter(({ type }) => type === "th_open").length;
  for (let at = first; at < state.tokens.length; at += 1) {
    const { type, map } = state.tokens[at];
    if (type !== "tr_open" || !map) continue;
    const line = state.src.slice(state.bMarks[map[0]] + state.tShift[map[0]], state.eMarks[map[0]]).trim();
    const cells = line.replace(/^\|/, "").replace(/(?<!\\)\|$/, "").split(/(?<!\\)\|/);
    if (cells.length <= columns) continue;
    const last = state.tokens[at + 3 * columns - 1]; // each cell is opened, has its text, and is closed
    last.content = cells.slice(columns - 1).join("|").replaceAll("\\|", "|").trim();
  }
  return true;
}

/**
 * From `$$` or `\[` at the beginning of a line to its counterpart, or to the next empty line.
 * @param {StateBlock} state
 * @param {number} startLine
 * @param {number} endLine
 * @param {boolean} silent
 */
function asMathBlock(state, startLine, endLine, silent) {
  const lineOf = (/** @type {number} */ line) =>
    state.src.slice(state.bMarks[line] + state.tShift[line], state.eMarks[line]).trimEnd();
  if (state.sCount[startLine] - state.blkIndent >= 4) return false;
  const opening = /^(\$\$|\\\[)(.*)/.exec(lineOf(startLine));
  if (!opening) return false;
  const closing = opening[1] === "$$" ? "$$" : "\\]";
  const place = opening[2].indexOf(closing);
  if (place >= 0 && place + 2 < opening[2].length) return false; // in a sentence
  if (silent) return true;
  let line = startLine + 1;
  let isFollowed = false;
  for (let isOpen = place < 0; isOpen && line < endLine && !state.isEmpty(line); line += 1) {
    if (state.sCount[line] < state.blkIndent) break;
    const end = lineOf(line).indexOf(closing);
    isOpen = end < 0;
    isFollowed = !isOpen && end + 2 < lineOf(line).length;
  }
  state.line = line;
  const content = state.getLines(startLine, line, state.sCount[startLine], false).trimEnd();
  if (isFollowed) pushParagraph(state, content, startLine);
  else {
    const token = state.push("math_block", "div", 0);
    token.content = content;
    token.map = [startLine, line];
    token.meta = formulaOf(content, true);
  }
  return true;
}

/**
 * Lines up to the current one, of which no block is made.
 * @param {StateBlock} state
 * @param {string} content
 * @param {number} startLine
 */
function pushParagraph(state, content, startLine) {
  state.push("paragraph_open", "p", 1).map = [startLine, state.line];
  const inline = state.push("inline", "", 0);
  inline.content = content.trim();
  inline.children = [];
  state.push("paragraph_close", "p", -1);
}

// A price is no formula, and neither is a parameter in an address.
const MATH = /\$\$(?:\\[^]|[^$\\])+\$\$|\\\([^]+?\\\)|\\\[[^]+?\\\]|(?<![\w$?&/])\$(?![\s$])(?:\\.|[^$\\\n])*(?<!\s)\$(?![\w$])/y;
const OPEN_MATH = /\\[([][^]*/y;
const MATH_MARK = /\\[()[\]]/y;

const FORMULA = /^(?:\$\$([^]+)\$\$|\\\(([^]+)\\\)|\\\[([^]+)\\\])$/;

/**
 * What is to be set as a formula: not what has no end yet, and nothing between single dollars.
 * @param {string} source
 * @param {boolean} isDisplay
 * @returns {Formula | null}
 */
function formulaOf(source, isDisplay) {
  const tex = FORMULA.exec(source)?.slice(1).find(Boolean)?.trim();
  return tex ? { source, tex, isDisplay } : null;
}

/**
 * Nothing in a formula is a mark. Of one without an end, or a beginning, its own mark stays as it is written.
 * @param {StateInline} state
 * @param {boolean} silent
 */
function asMath(state, silent) {
  const char = state.src[state.pos];
  if (char !== "$" && char !== "\\") return false;
  const found = matchHere(MATH, state) ?? (state.env.isOpen ? matchHere(OPEN_MATH, state) : null);
  if (!found) return asText(matchHere(MATH_MARK, state), state, silent);
  if (!silent) {
    const token = state.push("math_inline", "span", 0);
    token.content = found;
    token.meta = formulaOf(found, found.startsWith("\\["));
  }
  state.pos += found.length;
  return true;
}

/**
 * @param {StateInline} state
 * @param {boolean} silent
 */
function asOpenCode(state, silent) {
  if (!state.env.isOpen || silent || state.src[state.pos] !== "`" || state.posMax < state.src.length) return false;
  const mark = /** @type {string} */ (matchHere(/`+/y, state));
  const start = state.pos + mark.length;
  for (const [run] of state.src.slice(start).matchAll(/`+/g)) if (run === mark) return false;
  state.push("code_inline", "code", 0).content = state.src.slice(start).replaceAll("\n", " ");
  state.pos = state.posMax;
  return true;
}

// CommonMark takes `2*3*4` and `__init__.py` for emphasis; where models write them, they are products and names.
const NAME = /(?<=[A-Za-z0-9])\*(?=[A-Za-z0-9])|(?<!\w)__[a-z][a-z0-9_]*__(?!\w)/y;

/**
 * @param {StateInline} state
 * @param {boolean} silent
 */
function asName(state, silent) {
  const char = state.src[state.pos];
  return asText(char === "*" || char === "_" ? matchHere(NAME, state) : null, state, silent);
}

/**
 * @param {string | null} found
 * @param {StateInline} state
 * @param {boolean} silent
 */
function asText(found, state, silent) {
  if (!found) return false;
  if (!silent) state.pending += found;
  state.pos += found.length;
  return true;
}

/**
 * What is `**strong**` or `~~deleted~~` looks so from its first word on.
 * @param {StateInline} state
 */
function closeOpenMarks(state) {
  if (!state.env.isOpen) return;
  const { delimiters, tokens } = state;
  const open = [];
  for (let at = 0; at < delimiters.length; at += 1) {
    const { marker, token, end } = delimiters[at];
    const next = delimiters[at + 1];
    if (end > at) at = end;
    else if (!delimiters[at].open) continue;
    else if (marker === 0x7e) open.push([at]);
    else if (next?.marker === marker && next.token === token + 1 && next.open && next.end < 0) open.push([at, ++at]);
  }
  for (const opening of open.reverse()) {
    for (const at of opening.reverse()) {
      const { marker, length } = delimiters[at];
      state.push("text", "", 0);
      delimiters[at].end = delimiters.length;
      delimiters.push({ marker, length, token: tokens.length - 1, end: -1, open: false, close: true });
    }
  }
}

/**
 * @param {RegExp} sticky
 * @param {StateInline} state
 */
function matchHere(sticky, { src, pos, posMax }) {
  sticky.lastIndex = pos;
  const found = sticky.exec(src)?.[0];
  return found && pos + found.length <= posMax ? found : null;
}
