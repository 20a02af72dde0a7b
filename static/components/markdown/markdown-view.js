import { parser, parser_end, parser_write } from "streaming-markdown";
import { DomRenderer } from "./renderer.js";

/** Markdown that is written piece by piece into an element; each piece costs only itself. */
export class MarkdownView {
  /**
   * @param {HTMLElement} root
   * @param {(text: string, endsBlock: boolean) => void} [onProse]
   */
  constructor(root, onProse) {
    this.root = root;
    this.written = "";
    this.ended = false;
    root.replaceChildren();
    /** @type {ReturnType<typeof parser> | null} */
    this.parser = parser(new DomRenderer(root, onProse).callbacks);
  }

  /** @param {string} text */
  write(text) {
    this.written += text;
    this.guard(text, (open) => parser_write(open, text));
  }

  end() {
    if (this.ended) return;
    this.ended = true;
    this.guard("", (open) => parser_end(open));
  }

  /**
   * Markdown that the parser cannot take is shown as it is: losing text is worse than losing its form.
   * @param {string} text
   * @param {(open: ReturnType<typeof parser>) => void} run
   */
  guard(text, run) {
    if (!this.parser) return this.root.append(text);
    try {
      run(this.parser);
    } catch {
      this.parser = null;
      const plain = document.createElement("pre");
      plain.className = "unparsed";
      plain.textContent = this.written;
      this.root.replaceChildren(plain);
      this.root = plain;
    }
  }
}
