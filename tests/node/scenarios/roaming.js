'use strict';
/**
 * Polling sessions that give a proxy nothing to go by but the session id: no cookies, a new TCP
 * connection for each request, from another loopback address each time, to the URLs in turn.
 * Linux serves all of 127.0.0.0/8 without further ado; other systems only 127.0.0.1.
 */

const { PollingSession } = require('../lib/polling_session');

module.exports = async function roaming(options, verdict) {
  const way = ways(options.url);
  const sessions = Array.from({ length: options.clients ?? 60 }, () => {
    return new PollingSession({ version: options.line === 2 ? 3 : 4, path: options.path, way });
  });
  const outcomes = await Promise.all(sessions.map((session) => roam(session, options.messages ?? 5, verdict)));

  const facts = { sessions: sessions.length, requests: 0, unknown_sessions: 0, broken: 0, nodes: {} };
  for (const session of sessions) facts.requests += session.requests;
  for (const { node, error } of outcomes) {
    if (error?.unknownSession) facts.unknown_sessions += 1;
    if (error) facts.broken += 1;
    else facts.nodes[node] = (facts.nodes[node] ?? 0) + 1;
  }
  Object.assign(verdict.facts, facts);
};

/** A session's life; what breaks it is noted, so that the other sessions go on. */
async function roam(session, messages, verdict) {
  try {
    await session.open();
    const [{ node }] = await session.call('whoami');
    for (let number = 1; number <= messages; number++) {
      verdict.equal(await session.call('echo', number), [number], `echo of ${session.sid}`);
    }
    const [{ node: last }] = await session.call('whoami');
    verdict.equal(last, node, `node of ${session.sid}`);
    await session.close();
    return { node };
  } catch (error) {
    verdict.fail(`session ${session.sid}: ${error.message}`);
    return { error };
  }
}

/** The next URL and the next source address, for any caller. */
function ways(urls) {
  let turn = 0;
  return () => {
    turn += 1;
    const from = process.platform === 'linux' ? `127.0.0.${1 + (turn % SOURCES)}` : undefined;
    return { url: urls[turn % urls.length], from };
  };
}

/** Prime, so that addresses and URLs do not fall into step. */
const SOURCES = 251;
