/** @import { Spoken } from "./conversation.js" */

/**
 * A conversation is a tree: an edited question, and an answer asked for again, stand beside the first one.
 * @typedef {Map<string, Spoken>} Messages by id, oldest first
 */

/**
 * The messages from the beginning (or the oldest that is loaded) to the leaf.
 * @param {Messages} messages
 * @param {string | null} leaf
 * @returns {Spoken[]}
 */
export function pathTo(messages, leaf) {
  const path = [];
  for (let message = messages.get(leaf ?? ""); message; message = messages.get(message.parent_id ?? "")) {
    path.push(message);
  }
  return path.reverse();
}

/**
 * Messages that share their parent, by that parent.
 * @param {Messages} messages
 */
export function groupSiblings(messages) {
  /** @type {Map<string | null, Spoken[]>} */
  const groups = new Map();
  for (const message of messages.values()) {
    const group = groups.get(message.parent_id);
    if (group) group.push(message);
    else groups.set(message.parent_id, [message]);
  }
  return groups;
}

/**
 * The newest message that goes on from this one, or is it.
 * @param {Messages} messages
 * @param {string} id
 */
export function newestBelow(messages, id) {
  const below = new Set([id]);
  let newest = id;
  for (const message of messages.values()) {
    if (message.parent_id === null || !below.has(message.parent_id)) continue;
    below.add(message.id);
    newest = message.id;
  }
  return newest;
}
