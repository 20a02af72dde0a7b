/**
 * Temml, which makes MathML of LaTeX, fetched with its style sheet when the first formula appears. Its output is not
 * used: we take its tree, and of that only elements and attributes that we know. So no formula makes a link, loads
 * something or sets a `style` attribute, which the page's policy would refuse; and none is larger than we can show.
 *
 * @typedef {object} Tree
 * @property {string} [type] of a MathML element; an HTML one has none
 * @property {string} [text]
 * @property {Tree[]} [children]
 * @property {Record<string, unknown>} [attributes]
 * @property {string[]} [classes]
 * @property {Record<string, string>} [style]
 * @property {string} [href]
 * @property {string} [src]
 * @typedef {object} Typesetter
 * @property {(tex: string, options: Record<string, unknown>) => Tree} __renderToMathMLTree
 */

const LONGEST = 5_000; // characters
const LARGEST = 5_000; // elements and texts
const DEEPEST = 60; // elements in each other
const LIMITS = { maxExpand: 300, maxSize: [50, 500] }; // em and pt
const UNKNOWN_TO_TEMML = { "\\mbox": "\\text" };
/** A macro may double what it is given, so that a few of them make millions of signs. */
const DEFINITION = /\\(?:[a-z]*def|[a-z]*let|[a-z]*command)(?![a-z])/i;

const NAMESPACE = "http://www.w3.org/1998/Math/MathML";
const ELEMENTS = new Set(
  (
    "math menclose mfrac mi mmultiscripts mn mo mover mpadded mphantom mprescripts mroot mrow mspace msqrt mstyle " +
    "msub msubsup msup mtable mtd mtext mtr munder munderover none"
  ).split(" "),
);
const ATTRIBUTES = new Set(
  (
    "accent accentunder columnalign depth display displaystyle fence form height largeop linebreak linethickness " +
    "lspace mathbackground mathcolor mathsize mathvariant maxsize minsize movablelimits notation rowspacing rspace " +
    "scriptlevel separator stretchy symmetric voffset width"
  ).split(" "),
);

/** @type {Promise<Typesetter> | null} */
let loading = null;

/** @returns {Promise<Typesetter>} */
export function loadTypesetter() {
  loading ??= load().catch((error) => {
    loading = null; // the next formula may find a network
    throw error;
  });
  return loading;
}

async function load() {
  const [module] = await Promise.all([import(/** @type {any} */ ("temml")), loadStyles()]);
  return module.default;
}

/** Formulas are legible without it, so its failure is none. */
function loadStyles() {
  const sheet = document.createElement("link");
  sheet.rel = "stylesheet";
  sheet.href = new URL("Temml-Local.css", import.meta.resolve("temml")).href;
  return new Promise((resolve) => {
    sheet.onload = sheet.onerror = resolve;
    document.head.append(sheet);
  });
}

/**
 * @param {Typesetter} typesetter
 * @param {string} tex
 * @param {boolean} isDisplay on lines of its own
 * @returns {Node | null} nothing, if that is no LaTeX, or more than we take
 */
export function typeset(typesetter, tex, isDisplay) {
  if (tex.length > LONGEST || DEFINITION.test(tex)) return null;
  const macros = { ...UNKNOWN_TO_TEMML };
  const options = { displayMode: isDisplay, wrap: "tex", throwOnError: true, trust: false, macros, ...LIMITS };
  try {
    return new Builder().build(typesetter.__renderToMathMLTree(tex, options), 0);
  } catch {
    return null; // besides its own errors it throws others, such as that of a full stack
  }
}

class Builder {
  size = 0;

  /**
   * @param {Tree} tree
   * @param {number} depth
   * @returns {Node}
   */
  build(tree, depth) {
    this.size += 1;
    if (this.size > LARGEST || depth > DEEPEST) throw new RangeError("too large");
    if (typeof tree.text === "string") return new Text(tree.text);
    const made = tree.attributes || tree.type ? elementFor(tree) : document.createDocumentFragment();
    for (const child of tree.children ?? []) made.appendChild(this.build(child, depth + 1));
    return made;
  }
}

/** @param {Tree} tree */
function elementFor({ type, attributes = {}, classes = [], style = {}, href, src }) {
  if ((type && !ELEMENTS.has(type)) || href || src) throw new TypeError(`no element of a formula: ${type}`);
  const made = type
    ? /** @type {MathMLElement} */ (document.createElementNS(NAMESPACE, type))
    : document.createElement("span");
  for (const [name, value] of Object.entries(attributes)) {
    if (ATTRIBUTES.has(name)) made.setAttribute(name, String(value));
    else if (name === "style") made.style.cssText = String(value); // as text it would be inline style
  }
  const names = classes.filter(Boolean).join(" ");
  if (names) made.setAttribute("class", names);
  Object.assign(made.style, style);
  return made;
}
