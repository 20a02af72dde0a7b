import { html } from "./html.js";
import { safeLink } from "./markdown/links.js";

/** @import { Source } from "../client/types.js" */

/** @param {{sources: Source[]}} props */
export function Sources({ sources }) {
  return html`<details class="sources" open>
    <summary>${sources.length === 1 ? "1 source" : `${sources.length} sources`}</summary>
    <ol>
      ${sources.map((source) => html`<li key=${source.url}><${SourceLink} source=${source} /></li>`)}
    </ol>
  </details>`;
}

/** @param {{source: Source}} props */
function SourceLink({ source }) {
  const target = safeLink(source.url);
  if (!target) return html`<span>${source.title || source.url}</span>`;
  return html`<a href=${target.href} target="_blank" rel="noopener noreferrer">
    ${source.title || target.href} <span class="host">${target.host}</span>
  </a>`;
}
