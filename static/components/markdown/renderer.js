import { Attr, Token, heading_to_level } from "streaming-markdown";
import { CodeBlock } from "./code-block.js";
import { safeLink } from "./links.js";

/**
 * What the parser's tokens become: DOM nodes, made one by one and never from HTML. Everything a model writes is
 * hostile until it is one of these.
 *
 * @typedef {object} Open an element that is still being written
 * @property {HTMLElement} node
 * @property {CodeBlock} [code]
 */

/** @type {Record<number, keyof HTMLElementTagNameMap>} */
const TAGS = {
  [Token.Blockquote]: "blockquote",
  [Token.Paragraph]: "p",
  [Token.Line_Break]: "br",
  [Token.Rule]: "hr",
  [Token.Italic_Ast]: "em",
  [Token.Italic_Und]: "em",
  [Token.Strong_Ast]: "strong",
  [Token.Strong_Und]: "strong",
  [Token.Strike]: "s",
  [Token.Code_Inline]: "code",
  [Token.Link]: "a",
  [Token.Raw_URL]: "a",
  [Token.Image]: "a",
  [Token.List_Unordered]: "ul",
  [Token.List_Ordered]: "ol",
  [Token.List_Item]: "li",
  [Token.Checkbox]: "span",
  [Token.Table_Row]: "tr",
  [Token.Equation_Block]: "div",
  [Token.Equation_Inline]: "span",
};

/** The page has an h1 already. */
const HEADINGS = /** @type {const} */ (["h2", "h3", "h4", "h5", "h6"]);

/** @type {Set<number>} */
const LISTS = new Set([Token.List_Unordered, Token.List_Ordered]);
const BLOCKS = new Set(["P", "LI", "H2", "H3", "H4", "H5", "H6", "TD", "TH", "BLOCKQUOTE"]);

/** The renderer for one answer. */
export class DomRenderer {
  /**
   * @param {HTMLElement} root
   * @param {(text: string, endsBlock: boolean) => void} [onProse] hears the text without its marks, and without code
   */
  constructor(root, onProse = () => {}) {
    /** @type {Open[]} */
    this.open = [{ node: root }];
    this.onProse = onProse;
    this.headingDepth = -1;
  }

  /** As the parser wants it: functions that get this object first. */
  get callbacks() {
    return {
      data: /** @type {DomRenderer} */ (this),
      add_token: (/** @type {DomRenderer} */ self, /** @type {number} */ token) => self.begin(token),
      end_token: (/** @type {DomRenderer} */ self) => self.end(),
      add_text: (/** @type {DomRenderer} */ self, /** @type {string} */ text) => self.text(text),
      set_attr: (/** @type {DomRenderer} */ self, /** @type {number} */ name, /** @type {string} */ value) =>
        self.attribute(name, value),
    };
  }

  get current() {
    return this.open[this.open.length - 1];
  }

  /** @param {number} token */
  begin(token) {
    if (token === Token.Document) return;
    const parent = this.current.node;
    if (token === Token.Code_Fence || token === Token.Code_Block) this.beginCode(parent);
    else if (token === Token.Table) this.beginTable(parent);
    else if (heading_to_level(/** @type {any} */ (token))) this.open.push({ node: parent.appendChild(this.heading(token)) });
    else this.open.push({ node: place(parent, elementFor(token, parent)) });
  }

  /**
   * Whoever finds their way by headings must meet no gap between their levels; a model does not care.
   * @param {number} token
   */
  heading(token) {
    const wanted = Math.min(heading_to_level(/** @type {any} */ (token)) - 1, HEADINGS.length - 1);
    this.headingDepth = Math.min(wanted, this.headingDepth + 1);
    const made = document.createElement(HEADINGS[this.headingDepth]);
    made.dir = "auto";
    return made;
  }

  /** @param {HTMLElement} parent */
  beginCode(parent) {
    const code = new CodeBlock();
    parent.append(code.figure);
    this.open.push({ node: code.code, code });
  }

  /** @param {HTMLElement} parent */
  beginTable(parent) {
    const frame = document.createElement("div");
    frame.className = "table";
    frame.tabIndex = 0; // it may scroll sideways, and that must work by keyboard
    frame.role = "group";
    frame.ariaLabel = "Table";
    parent.append(frame);
    this.open.push({ node: frame.appendChild(document.createElement("table")) });
  }

  end() {
    if (this.open.length === 1) return;
    const { node } = /** @type {Open} */ (this.open.pop());
    if (BLOCKS.has(node.tagName)) this.onProse("", true);
  }

  /** @param {string} text */
  text(text) {
    const { node, code } = this.current;
    if (code) return code.append(text);
    append(node, text);
    this.onProse(text, false);
  }

  /**
   * @param {number} name
   * @param {string} value
   */
  attribute(name, value) {
    const { node, code } = this.current;
    if (name === Attr.Lang) code?.setLanguage(value);
    else if (name === Attr.Href) link(node, value);
    else if (name === Attr.Src) link(node, value, "Image");
    else if (name === Attr.Checked) check(node);
    else if (name === Attr.Start && node instanceof HTMLOListElement) node.start = parseInt(value, 10) || 1;
  }
}

/**
 * @param {number} token
 * @param {HTMLElement} parent
 */
function elementFor(token, parent) {
  if (parent.tagName === "LI" && LISTS.has(token)) parent.classList.add("outer");
  if (token === Token.Table_Cell) return document.createElement(parent.closest("thead") ? "th" : "td");
  const made = document.createElement(TAGS[token] ?? "span");
  if (token === Token.Checkbox) uncheck(made);
  if (token === Token.Image) made.className = "image";
  if (token === Token.Equation_Block || token === Token.Equation_Inline) made.className = "math";
  if (BLOCKS.has(made.tagName)) made.dir = "auto";
  return made;
}

/**
 * Rows belong into a head or a body.
 * @param {HTMLElement} parent
 * @param {HTMLElement} child
 */
function place(parent, child) {
  if (!(parent instanceof HTMLTableElement)) return parent.appendChild(child);
  const section = parent.tHead ? (parent.tBodies[0] ?? parent.createTBody()) : parent.createTHead();
  return section.appendChild(child);
}

/**
 * Text nodes are made longer, not more: thousands of them would slow down every layout.
 * @param {HTMLElement} node
 * @param {string} text
 */
function append(node, text) {
  const last = node.lastChild;
  if (last instanceof Text && last.length < 1_000) last.appendData(text);
  else node.append(text);
}

/**
 * A link that leads where it says, or no link at all. Images are offered as links: loading one would tell its
 * server who reads what.
 * @param {HTMLElement} node
 * @param {string} url
 * @param {string} [kind]
 */
function link(node, url, kind) {
  const target = safeLink(url);
  if (!(node instanceof HTMLAnchorElement) || !target) return;
  node.href = target.href;
  node.rel = "noopener noreferrer";
  node.target = "_blank";
  if (kind && !node.textContent) node.append(kind);
  if (!target.host || node.textContent?.includes(target.host)) return;
  const host = document.createElement("span");
  host.className = "host";
  host.textContent = target.host;
  node.append(" ", host);
}

/** @param {HTMLElement} node */
function uncheck(node) {
  node.className = "checkbox";
  node.role = "img";
  node.ariaLabel = "not done";
  node.textContent = "☐";
}

/** @param {HTMLElement} node */
function check(node) {
  node.ariaLabel = "done";
  node.textContent = "☑";
}
