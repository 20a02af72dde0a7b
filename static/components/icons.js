import { html } from "./html.js";

const PATHS = {
  plus: "M12 5v14M5 12h14",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14ZM20 20l-4-4",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M8 8h8v8H8z",
  menu: "M4 7h16M4 12h16M4 17h16",
  close: "M6 6l12 12M18 6 6 18",
  copy: "M9 9h10v10H9zM5 15V5h10",
  check: "M5 13l4 4L19 7",
  again: "M4 12a8 8 0 0 1 14-5.3L20 9M20 4v5h-5M20 12a8 8 0 0 1-14 5.3L4 15M4 20v-5h5",
  edit: "M4 20h4L19 9l-4-4L4 16z",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  left: "M14 6l-6 6 6 6",
  right: "M10 6l6 6-6 6",
  down: "M12 5v14M6 13l6 6 6-6",
  pause: "M9 6v12M15 6v12",
  play: "M8 5l11 7-11 7z",
  skip: "M6 5l8 7-8 7zM18 5v14",
  settings: "M4 7h10M18 7h2M14 4v6M4 17h2M10 17h10M6 14v6",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  more: "M6 12h.01M12 12h.01M18 12h.01",
};

/** @param {{name: keyof typeof PATHS}} props a picture beside or instead of words; it says nothing itself */
export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
}
