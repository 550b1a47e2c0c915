'use strict';
/** Every wait has an end. */

/**
 * The outcome of `promise`, or a failure that names `what` after `milliseconds`.
 *
 * @template T
 * @param {number} milliseconds
 * @param {string} what what was waited for, in words that complete "no ... within"
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
function within(milliseconds, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${milliseconds} ms`)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** One turn of the event loop, so that other connections have theirs. */
function nextTurn() {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Longest wait for one answer. Generous, since tests share two cores with compilers. */
const ANSWER_MS = 20_000;

module.exports = { ANSWER_MS, nextTurn, within };
