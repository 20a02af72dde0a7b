/**
 * highlight.js, fetched when the first code block appears. Its HTML output is not used: we take its tree.
 *
 * @typedef {{scope?: string, language?: string, children: (Tree | string)[]}} Tree
 * @typedef {{_emitter: {root: Tree}, _top: {parent?: unknown}}} Result
 * @typedef {object} Highlighter
 * @property {(name: string) => {name: string} | undefined} getLanguage
 * @property {(code: string, options: {language: string, ignoreIllegals: boolean}) => Result} highlight
 */

/** @type {Promise<Highlighter> | null} */
let loading = null;

/** @returns {Promise<Highlighter>} */
export function loadHighlighter() {
  loading ??= import(/** @type {any} */ ("highlight.js")).then((module) => module.default);
  return loading;
}

/**
 * @param {Highlighter} highlighter
 * @param {string} code
 * @param {string} language
 * @returns {{nodes: DocumentFragment, complete: boolean}} `complete`: no string, comment or the like is still open
 */
export function highlight(highlighter, code, language) {
  const result = highlighter.highlight(code, { language, ignoreIllegals: true });
  const nodes = document.createDocumentFragment();
  append(nodes, result._emitter.root);
  return { nodes, complete: !result._top.parent };
}

/**
 * @param {ParentNode} parent
 * @param {Tree} tree
 */
function append(parent, tree) {
  for (const child of tree.children) {
    if (typeof child === "string") {
      parent.append(child);
    } else {
      const span = document.createElement("span");
      span.className = classesOf(child.scope ?? "");
      append(span, child);
      parent.append(span);
    }
  }
}

/**
 * `title.function` is written as `hljs-title function_`, as its style sheets have it.
 * @param {string} scope
 */
function classesOf(scope) {
  const [first, ...rest] = scope.split(".");
  return [`hljs-${first}`, ...rest.map((part, depth) => part + "_".repeat(depth + 1))].join(" ");
}
