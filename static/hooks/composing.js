/**
 * Whether a key belongs to an input method, which turns several into one character. Safari says it by the code alone.
 * @param {KeyboardEvent} event
 */
export const isComposing = (event) => event.isComposing || event.keyCode === 229;
