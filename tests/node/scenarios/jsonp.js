'use strict';
/**
 * Polling by script tags, as pages of the 1.x to 3.x line do: each answer is run as a script, each POST
 * is a form. By hand, since the clients do this in browsers only. `--line 2` speaks EIO=3, others EIO=4.
 */

const { PollingSession } = require('../lib/polling_session');

module.exports = async function jsonp(options, verdict) {
  const session = new PollingSession({
    version: options.line === 2 ? 3 : 4,
    path: options.path,
    way: () => ({ url: options.url[0] }),
    jsonp: 7,
  });
  await session.open();
  for (const text of TEXTS) {
    verdict.equal(await session.call('echo', text), [text], 'echo');
  }
  const [{ node, transport }] = await session.call('whoami');
  verdict.equal(transport, 'polling', 'transport');
  Object.assign(verdict.facts, { node, requests: session.requests });
  await session.close();
};

/** Each is changed by one of the escapings on the way: script, form, JSON, UTF-16 lengths. */
const TEXTS = ['plain', 'h\u00e9llo \u{1F41F}', 'quotes " and \\ and \'', 'two\nlines', 'a + b & c = d', '\u2028\u2029'];
