'use strict';
/**
 * Whether a scenario held, and if not why, in words; printed as the last line of a client's stdout.
 */

const { isDeepStrictEqual, inspect } = require('node:util');

class Verdict {
  /** @param {string} scenario */
  constructor(scenario) {
    this.scenario = scenario;
    /** What else the test may want to look at. */
    this.facts = {};
    this.failures = [];
  }

  get held() {
    return this.failures.length === 0;
  }

  /** Notes a failure. Only the first hundred are kept: a storm of them says nothing more. */
  fail(words) {
    if (this.failures.length < FAILURES_MAX) this.failures.push(words);
  }

  /** Notes `words` unless `holds`. */
  expect(holds, words) {
    if (!holds) this.fail(words);
  }

  /** Notes a failure unless both are equal all through. */
  equal(actual, expected, what) {
    if (!isDeepStrictEqual(actual, expected)) {
      this.fail(`${what}: ${brief(actual)} instead of ${brief(expected)}`);
    }
  }

  /** The result line. */
  line() {
    const { scenario, held, failures, facts } = this;
    return JSON.stringify({ event: 'result', scenario, held, failures, ...facts });
  }
}

function brief(value) {
  return inspect(value, { maxArrayLength: 8, maxStringLength: 80, breakLength: Infinity });
}

const FAILURES_MAX = 100;

module.exports = { Verdict };
