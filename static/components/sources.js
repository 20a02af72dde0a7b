import { html } from "./html.js";
import { safeLink } from "./markdown/links.js";

/** @import { Source } from "../client/types.js" */

/**
 * Above the text and folded: models name their sources first, and below the text they would move with every line.
 * @param {{sources: Source[]}} props
 */
export function Sources({ sources }) {
  const hosts = new Set(sources.map(({ url }) => safeLink(url)?.host).filter(Boolean));
  return html`<details class="sources">
    <summary>${sources.length === 1 ? "1 source" : `${sources.length} sources`}
      <span class="glimpse">${[...hosts].join(", ")}</span></summary>
    <ol>
      ${sources.map((source) => html`<li key=${source.url}><${SourceLink} source=${source} /></li>`)}
    </ol>
  </details>`;
}

/** @param {{source: Source}} props */
function SourceLink({ source }) {
  const target = safeLink(source.url);
  if (!target) return html`<span>${source.title || source.url}</span>`;
  const name = source.title || target.href;
  return html`<a href=${target.href} target="_blank" rel="noopener noreferrer">${name}${
    !name.includes(target.host) && html` <span class="host">${target.host}</span>`
  }</a>`;
}
