'use strict';
/** How a received list differs from the one that was sent. */

/**
 * Compares without regard to order, which is the business of `expectRising`.
 *
 * @param {Array<number|string>} received
 * @param {Array<number|string>} sent without doubles
 * @returns {{missing: Array, doubled: Array, strange: Array}}
 */
function compareSequences(received, sent) {
  const expected = new Set(sent);
  const seen = new Set();
  const doubled = [];
  const strange = [];
  for (const item of received) {
    if (!expected.has(item)) strange.push(item);
    else if (seen.has(item)) doubled.push(item);
    seen.add(item);
  }
  return { missing: sent.filter((item) => !seen.has(item)), doubled, strange };
}

/** Notes in `verdict` what is missing, doubled or strange in `received`. */
function expectSame(verdict, received, sent, what) {
  const differences = compareSequences(received, sent);
  for (const [kind, items] of Object.entries(differences)) {
    if (items.length > 0) verdict.fail(`${what}: ${items.length} ${kind}, the first is ${items[0]}`);
  }
  return differences;
}

/** Notes in `verdict` the first number that is not larger than the one before it. */
function expectRising(verdict, numbers, what) {
  const at = numbers.findIndex((number, index) => index > 0 && number <= numbers[index - 1]);
  if (at !== -1) verdict.fail(`${what}: ${numbers[at]} came after ${numbers[at - 1]}`);
}

module.exports = { compareSequences, expectRising, expectSame };
