import { api, isNotFound } from "../client/index.js";
import { kept } from "./kept.js";
import { lookSoon } from "./session-list.js";
import { trying } from "./trouble.js";

/** Answers that are to be stopped, until the server has confirmed it: they are paid for as long as it has not heard. */
export const stopping = kept("stopping", /** @type {string[]} */ ([]));

/** @param {string[]} messages answers being written, or waiting to be */
export function stop(messages) {
  stopping.value = [...new Set([...stopping.value, ...messages])];
  return trying("Not stopped yet; it will be tried again.", () => Promise.all(messages.map(carryOut)));
}

/** The server can be reached again: what it has not heard yet. */
export const stopKept = () => Promise.allSettled(stopping.value.map(carryOut));

/** @param {string} message */
async function carryOut(message) {
  try {
    await api.cancel(message);
  } catch (error) {
    if (!isNotFound(error)) {
      lookSoon();
      throw error;
    }
  }
  stopping.value = stopping.value.filter((each) => each !== message);
}
