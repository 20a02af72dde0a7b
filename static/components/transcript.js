import { useEffect, useRef } from "preact/hooks";
import { usePlaceKept } from "../hooks/usePlaceKept.js";
import { useStickToEnd } from "../hooks/useStickToEnd.js";
import { Answer } from "./answer.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";
import { PassingButton } from "./passing-button.js";
import { Question } from "./question.js";
import { UnsentQuestion } from "./unsent-question.js";
import { Welcome } from "./welcome.js";

/** @import { SessionStore } from "../hooks/session-store.js" */
/** @import { Signal } from "@preact/signals" */
/** @import { Spoken } from "../client/conversation.js" */

/** @param {{session: SessionStore}} props */
export function Transcript({ session }) {
  const isLoaded = session.loaded.value !== "no";
  const isEmpty = isLoaded && !session.path.value.length && !session.asking.unsent.value.length;
  const { scroller, content, isAway, hasNews, toEnd, letGo } = useStickToEnd(session.id, isEmpty);
  usePlaceKept({ session: session.id, scroller, isAway, isLoaded, letGo });
  const unsent = session.asking.unsent.value;
  const asked = useRef(unsent.length);
  useEffect(() => {
    if (unsent.length > asked.current) toEnd(); // whoever asks wants to see the answer
    asked.current = unsent.length;
  }, [unsent.length]);
  return html`<div class="transcript" ref=${scroller} tabindex="0" role="region" aria-label="Conversation">
    <div class="messages" ref=${content}>
      <${Older} session=${session} scroller=${scroller} />
      ${isEmpty ? html`<${Welcome} session=${session} />` : html`<${Messages} session=${session} />`}
      ${unsent.map((each) => html`<${UnsentQuestion} key=${each.key} session=${session} unsent=${each} />`)}
    </div>
    <${ToEnd} isAway=${isAway} hasNews=${hasNews} onClick=${toEnd} />
  </div>`;
}

/** @param {{session: SessionStore}} props */
function Messages({ session }) {
  return session.path.value.map((message) => html`<${Said} key=${message.id} session=${session} message=${message} />`);
}

/** @param {{isAway: Signal<boolean>, hasNews: Signal<boolean>, onClick: () => void}} props */
function ToEnd({ isAway, hasNews, onClick }) {
  if (!isAway.value) return null;
  return html`<${PassingButton} class="to-end" onClick=${onClick}>
    <${Icon} name="down" /> ${hasNews.value ? "New text" : "To the end"}
  <//>`;
}

/** @param {{session: SessionStore, message: Spoken}} props */
function Said({ session, message }) {
  const kind = message.role === "user" ? Question : Answer;
  return html`<${kind} session=${session} message=${message} />`;
}

/**
 * Loads older messages well before their reader comes to where they belong.
 * @param {{session: SessionStore, scroller: {current: HTMLElement | null}}} props
 */
function Older({ session, scroller }) {
  const mark = useRef(/** @type {HTMLDivElement | null} */ (null));
  session.structure.value;
  const { hasMore } = session.conversation;
  useEffect(() => {
    if (!mark.current || !hasMore) return;
    const near = new IntersectionObserver(
      ([entry]) => {
        // At the very top a browser does not keep the place of what is read.
        if (scroller.current?.scrollTop === 0) scroller.current.scrollTop = 1;
        if (entry.isIntersecting) session.loadOlder();
      },
      { root: scroller.current, rootMargin: "1500px 0px 0px 0px" },
    );
    near.observe(mark.current);
    return () => near.disconnect();
  }, [session, session.structure.value, hasMore]);
  return hasMore ? html`<div class="older" ref=${mark}>Loading earlier messages …</div>` : null;
}
