import { CodeBlock } from "./code-block.js";
import { Formula } from "./formula.js";

/** @import { Node as TreeNode, Element as TreeElement } from "./tree.js" */

/** @type {WeakMap<globalThis.Node, CodeBlock>} */
const codeBlocks = new WeakMap();
/** @type {WeakMap<globalThis.Node, Formula>} */
const formulas = new WeakMap();

/**
 * Make an element's children what the tree says, and leave alone what is so already: what somebody has selected
 * stays selected.
 * @param {Element} parent
 * @param {TreeNode[]} nodes
 * @param {number} [from] the first child that is theirs
 */
export function patch(parent, nodes, from = 0) {
  const { childNodes } = parent;
  nodes.forEach((node, index) => {
    const current = childNodes[from + index] ?? null;
    const wanted = adapt(current, node);
    if (wanted === current) return;
    if (current) current.replaceWith(wanted);
    else parent.append(wanted);
  });
  while (childNodes.length > from + nodes.length) parent.lastChild?.remove();
}

/**
 * @param {ChildNode | null} current
 * @param {TreeNode} wanted
 * @returns {ChildNode} the current one, if it can be made into what is wanted
 */
function adapt(current, wanted) {
  if (typeof wanted === "string") return text(current, wanted);
  if ("code" in wanted) return code(current, wanted);
  return wanted.formula ? formula(current, wanted, wanted.formula) : element(current, wanted);
}

/**
 * @param {ChildNode | null} current
 * @param {string} wanted
 */
function text(current, wanted) {
  if (!(current instanceof Text)) return new Text(wanted);
  const { data } = current;
  if (wanted.startsWith(data)) current.appendData(wanted.slice(data.length));
  else {
    const same = sameStart(data, wanted);
    current.replaceData(same, data.length - same, wanted.slice(same));
  }
  return current;
}

/**
 * @param {string} one
 * @param {string} other
 */
function sameStart(one, other) {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length += 1;
  return length;
}

/**
 * @param {ChildNode | null} current
 * @param {import("./tree.js").Code} wanted
 */
function code(current, { code, info, finished = 0 }) {
  const known = current && codeBlocks.get(current);
  const block = known?.continues(code, finished) ? known : new CodeBlock();
  codeBlocks.set(block.figure, block);
  block.setInfo(info);
  block.append(code.slice(block.text.length - finished));
  return block.figure;
}

/**
 * @param {ChildNode | null} current
 * @param {TreeElement} wanted
 * @param {import("./parser.js").Formula} what
 */
function formula(current, wanted, what) {
  const known = current && formulas.get(current);
  if (known?.isSame(wanted.tag, what)) return known.element;
  const made = element(null, wanted);
  formulas.set(made, new Formula(made, what));
  return made;
}

/**
 * @param {ChildNode | null} current
 * @param {TreeElement} wanted
 */
function element(current, { tag, attributes, children, finished }) {
  const isOurs = current instanceof HTMLElement && !codeBlocks.has(current) && !formulas.has(current);
  const isSame = isOurs && current.localName === tag;
  const made = isSame ? current : document.createElement(tag);
  for (const name of made.getAttributeNames()) if (!(name in attributes)) made.removeAttribute(name);
  for (const [name, value] of Object.entries(attributes)) {
    if (made.getAttribute(name) !== value) made.setAttribute(name, value);
  }
  patch(made, children, finished);
  return made;
}
