import { safeLink } from "./links.js";

/**
 * What the parser's tokens become: a tree of elements that we know. Everything a model writes is hostile until it is
 * one of these.
 *
 * @import { Token } from "markdown-it"
 * @import { Formula } from "./parser.js"
 * @typedef {object} Element
 * @property {string} tag
 * @property {Record<string, string>} attributes
 * @property {Node[]} children
 * @property {number} line where it begins
 * @property {number} [depth] of the last heading up to its end
 * @property {number} [finished] how many children stand before these already
 * @property {string} [host] that a link leads to
 * @property {Formula | null} [formula] that it is
 * @typedef {object} Code
 * @property {string} code
 * @property {string} info what stands behind the opening fence
 * @property {boolean} isOpen
 * @property {number} line
 * @property {number} [depth]
 * @property {number} [finished] how many characters stand before these already
 * @typedef {Element | Code} Block
 * @typedef {Block | string} Node
 */

/** The page has an h1 already. */
const HEADINGS = ["h2", "h3", "h4", "h5", "h6"];
const TAGS = new Set("blockquote em h1 h2 h3 h4 h5 h6 hr li ol p s strong table tbody td th thead tr ul".split(" "));
const LEAVES = new Set(["p", ...HEADINGS, "td", "th"]);
/** The outermost of them says where lists, columns and bars begin; within it texts turn themselves, see markdown.css. */
const OF_ITS_OWN_DIRECTION = new Set(["p", ...HEADINGS, "ul", "ol", "table", "blockquote"]);
const ALIGNED = /** @type {Record<string, string>} */ ({
  "text-align:left": "to-left",
  "text-align:center": "to-center",
  "text-align:right": "to-right",
});

/**
 * @param {Token[]} tokens
 * @param {number} depth of the heading before them
 * @returns {Block[]}
 */
export function treeOf(tokens, depth) {
  const builder = new Builder(depth);
  builder.addAll(tokens);
  return /** @type {Block[]} */ (builder.open[0].children);
}

/**
 * The texts of paragraphs, cells and the like, one by one, as they are read aloud.
 * @param {Node[]} nodes
 * @returns {string[]}
 */
export function textsOf(nodes) {
  return nodes.flatMap((node) => {
    if (typeof node === "string") return [];
    if ("code" in node) return [announcementOf(node)];
    if (LEAVES.has(node.tag) || node.attributes.class === "math") return [spoken(node.children)];
    return textsOf(node.children);
  });
}

/** With a blank, so that the sentence has ended: code is announced when it begins. @param {Code} code */
function announcementOf({ info }) {
  const [language] = info.trim().split(/\s/, 1);
  return language ? `Code, ${language}. ` : "Code. ";
}

/**
 * @param {Node[]} nodes
 * @returns {string}
 */
function spoken(nodes) {
  const isSpoken = (/** @type {Element} */ { attributes }) => attributes.class !== "host" && !attributes.role;
  return nodes
    .map((node) => {
      if (typeof node === "string") return node;
      if ("code" in node || !isSpoken(node)) return "";
      return node.tag === "br" ? "\n" : spoken(node.children);
    })
    .join("");
}

class Builder {
  /** @param {number} depth */
  constructor(depth) {
    this.depth = depth;
    /** @type {Element[]} */
    this.open = [elementNode("div")];
  }

  get current() {
    return this.open[this.open.length - 1];
  }

  /** @param {Token[]} tokens */
  addAll(tokens) {
    for (const token of tokens) {
      if (token.nesting > 0) this.begin(token);
      else if (token.nesting < 0) this.end();
      else this.add(token);
    }
  }

  /** @param {Token} token */
  begin(token) {
    const made = token.tag === "a" ? linkTo(token, "href") : this.elementFor(token);
    made.line = token.map?.[0] ?? 0;
    this.current.children.push(made.tag === "table" ? frameOf(made) : made);
    this.open.push(made);
  }

  end() {
    const ended = /** @type {Element} */ (this.open.pop());
    if (ended.host) showHost(ended, ended.host);
    const outer = /** @type {Element} */ (this.current.children.at(-1));
    outer.depth = this.depth;
  }

  /** @param {Token} token */
  elementFor({ tag, markup, info, attrs }) {
    const made = elementNode(TAGS.has(tag) ? tag : "span");
    const { attributes } = made;
    if (tag.match(/^h\d/)) made.tag = this.heading(Number(tag[1]));
    const isWithin = this.open.some(({ attributes: { dir } }) => dir === "auto");
    if (OF_ITS_OWN_DIRECTION.has(made.tag) && !isWithin) attributes.dir = "auto";
    // The numbers are as they were written, except for those who write 1 everywhere and leave it to us.
    if (tag === "li" && info && Number(info) !== 1) attributes.value = String(Number(info));
    if (tag === "ol" && markup === ")") attributes.class = "bracketed";
    const alignment = ALIGNED[String(attrs?.[0]?.[1])];
    if (alignment) attributes.class = alignment;
    return made;
  }

  /**
   * Whoever finds their way by headings must meet no gap between their levels; a model does not care.
   * @param {number} level
   */
  heading(level) {
    this.depth = Math.min(level - 1, HEADINGS.length - 1, this.depth + 1);
    return HEADINGS[this.depth];
  }

  /** @param {Token} token */
  add(token) {
    const { children } = this.current;
    const { type, content } = token;
    if (type === "inline") this.addInline(token);
    else if (type === "fence" || type === "code_block") children.push({ ...codeOf(token), depth: this.depth });
    else if (type === "softbreak" || type === "hardbreak") children.push(elementNode("br"));
    else if (type === "hr") children.push(lineOf(token, elementNode("hr")));
    else if (type === "code_inline") children.push(elementNode("code", {}, pieces(content)));
    else if (type === "math_inline") children.push(mathOf(token, "span"));
    else if (type === "math_block") children.push(lineOf(token, mathOf(token, "div")));
    else if (type === "image") this.addImage(token);
    else children.push(...pieces(content));
  }

  /** @param {Token} token */
  addInline({ children }) {
    const [item, paragraph] = this.open.slice(-2);
    if (item.tag === "li" && item.children[0] === paragraph) this.addCheckbox(children?.[0]);
    this.addAll(children ?? []);
  }

  /** @param {Token} [first] */
  addCheckbox(first) {
    const box = first?.type === "text" && /^\[([ xX])\](?=\s)/.exec(first.content);
    if (!box) return;
    const isDone = box[1] !== " ";
    const attributes = { class: "checkbox", role: "img", "aria-label": isDone ? "done" : "not done" };
    this.current.children.push(elementNode("span", attributes, [isDone ? "☑" : "☐"]));
    first.content = first.content.slice(box[0].length).trimStart();
  }

  /**
   * Images are offered as links: loading one would tell its server who reads what.
   * @param {Token} token
   */
  addImage(token) {
    const isInLink = this.open.some(({ tag }) => tag === "a");
    const link = isInLink ? elementNode("span") : linkTo(token, "src");
    link.attributes.class = "image";
    this.current.children.push(link);
    this.open.push(link);
    this.addAll(token.children ?? []);
    if (!link.children.length) link.children.push("Image");
    this.end();
  }
}

/**
 * @param {string} tag
 * @param {Record<string, string>} [attributes]
 * @param {Node[]} [children]
 * @returns {Element}
 */
export function elementNode(tag, attributes = {}, children = []) {
  return { tag, attributes, children, line: 0 };
}

/**
 * @param {Token} token
 * @param {Element} made
 */
function lineOf(token, made) {
  made.line = token.map?.[0] ?? 0;
  return made;
}

/**
 * @param {Token} token
 * @returns {Code}
 */
function codeOf({ content, info, map }) {
  const [line, end] = map ?? [0, 0];
  const lines = content.split("\n").length - (content.endsWith("\n") || !content ? 1 : 0);
  return { code: content.replace(/\n$/, ""), info, isOpen: end - line - 1 === lines, line };
}

/**
 * @param {Token} token
 * @param {string} tag
 * @returns {Element}
 */
function mathOf({ content, meta }, tag) {
  const formula = /** @type {Formula | null} */ (/** @type {unknown} */ (meta));
  return { ...elementNode(tag, { class: "math", dir: "ltr" }, pieces(content)), formula };
}

/**
 * A table may scroll sideways, and that must work by keyboard.
 * @param {Element} table
 */
function frameOf(table) {
  const frame = elementNode("div", { class: "table", tabindex: "0", role: "group", "aria-label": "Table" }, [table]);
  frame.line = table.line;
  return frame;
}

/**
 * A link that leads where it says, or no link at all.
 * @param {Token} token
 * @param {string} name
 */
function linkTo(token, name) {
  const target = safeLink(String(token.attrGet(name)));
  const title = String(token.attrGet("title") ?? "");
  if (!target) return elementNode("span");
  const attributes = { href: target.href, rel: "noopener noreferrer", target: "_blank" };
  return { ...elementNode("a", title ? { ...attributes, title } : attributes), host: target.host };
}

/**
 * @param {Element} link
 * @param {string} host
 */
function showHost(link, host) {
  if (spoken(link.children).toLowerCase().includes(host.toLowerCase())) return;
  link.children.push(" ", elementNode("span", { class: "host" }, [host]));
}

/**
 * One long text node would be laid out anew from its beginning whenever it grows.
 * @param {string} text
 */
function pieces(text) {
  return text.length < 1_000 ? (text ? [text] : []) : (text.match(/[^]{1,1000}\S{0,50}/gu) ?? []);
}
