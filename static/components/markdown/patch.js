import { CodeBlock } from "./code-block.js";

/** @import { Node as TreeNode, Element as TreeElement } from "./tree.js" */

/** @type {WeakMap<globalThis.Node, CodeBlock>} */
const codeBlocks = new WeakMap();

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
  return "code" in wanted ? code(current, wanted) : element(current, wanted);
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
 */
function element(current, { tag, attributes, children, finished }) {
  const isSame = current instanceof HTMLElement && current.localName === tag && !codeBlocks.has(current);
  const made = isSame ? current : document.createElement(tag);
  for (const name of made.getAttributeNames()) if (!(name in attributes)) made.removeAttribute(name);
  for (const [name, value] of Object.entries(attributes)) {
    if (made.getAttribute(name) !== value) made.setAttribute(name, value);
  }
  patch(made, children, finished);
  return made;
}
