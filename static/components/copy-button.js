import { useState } from "preact/hooks";
import { announce } from "./announcer.js";
import { copyText } from "./clipboard.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";

/** @param {{text: string, label: string}} props */
export function CopyButton({ text, label }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    const isCopied = await copyText(text);
    setCopied(isCopied);
    announce(isCopied ? "Copied." : "Not copied.");
    setTimeout(() => setCopied(false), 1_500);
  };
  return html`<button type="button" class="quiet icon-only" onClick=${copy} aria-label=${copied ? "Copied" : label}
    title=${label}><${Icon} name=${copied ? "check" : "copy"} /></button>`;
}
