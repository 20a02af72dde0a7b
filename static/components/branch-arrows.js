import { useLayoutEffect, useRef } from "preact/hooks";
import { html } from "./html.js";
import { Icon } from "./icons.js";

/** @import { SessionStore } from "../hooks/session-store.js" */
/** @import { Spoken } from "../client/conversation.js" */

/** The arrow that led to another version, which has the focus beside that one, too. */
let used = { to: "", step: 0 };

/**
 * The way between messages that stand beside each other: an edited question, an answer asked for again.
 * @param {{session: SessionStore, message: Spoken}} props
 */
export function BranchArrows({ session, message }) {
  const arrows = useRef(/** @type {HTMLSpanElement | null} */ (null));
  useLayoutEffect(() => {
    if (used.to !== message.id || !arrows.current) return;
    const [previous, next] = arrows.current.querySelectorAll("button");
    const [same, other] = used.step < 0 ? [previous, next] : [next, previous];
    (same.disabled ? other : same).focus({ preventScroll: true });
    used = { to: "", step: 0 };
  }, [message.id]);
  const siblings = session.siblings.value.get(message.parent_id) ?? [];
  if (siblings.length < 2) return null;
  const place = siblings.indexOf(message);
  const what = message.role === "user" ? "question" : "answer";
  const go = (/** @type {number} */ step) => {
    used = { to: siblings[place + step].id, step };
    session.show(used.to);
  };
  return html`<span class="branches" ref=${arrows} role="group" aria-label="Versions of this ${what}">
    <button type="button" class="quiet icon-only" disabled=${place <= 0} onClick=${() => go(-1)}
      aria-label="Previous version of this ${what}"><${Icon} name="left" /></button>
    <span>${place + 1} / ${siblings.length}</span>
    <button type="button" class="quiet icon-only" disabled=${place >= siblings.length - 1} onClick=${() => go(1)}
      aria-label="Next version of this ${what}"><${Icon} name="right" /></button>
  </span>`;
}
