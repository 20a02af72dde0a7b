import { api } from "../client/index.js";
import { Dialog } from "./dialog.js";
import { html } from "./html.js";

/** @param {{session: string, onClose: () => void}} props */
export function ExportDialog({ session, onClose }) {
  return html`<${Dialog} title="Export this chat" onClose=${onClose}>
    <p>All of it, with every version of each question and answer.</p>
    <div class="buttons">
      <a class="button" href=${api.exportUrl(session, "markdown")} download>Markdown, to read</a>
      <a class="button" href=${api.exportUrl(session, "json")} download>JSON, for programs</a>
    </div>
  <//>`;
}
