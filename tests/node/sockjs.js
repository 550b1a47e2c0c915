'use strict';
/**
 * Clients of SockJS, some by each transport, each of which sends numbers and gets them back in order from the
 * one node that has greeted it. Prints its result as the last JSON line, as client.js does.
 */

const SockJS = require('sockjs-client');
const { readArguments, refuse } = require('./lib/arguments');
const { ANSWER_MS, within } = require('./lib/deadline');
const { Verdict } = require('./lib/verdict');

const options = readArguments('Usage: node sockjs.js --url URL [options]', {
  url: { kind: 'text', help: 'http://HOST:PORT of the proxies' },
  transports: { kind: 'list', otherwise: ['websocket', 'xhr-streaming', 'xhr-polling'], help: 'of SockJS' },
  clients: { kind: 'number', otherwise: 6, help: 'for each transport' },
});
if (options.url === undefined) refuse('--url is missing');

async function main() {
  const verdict = new Verdict('sockjs');
  verdict.facts.nodes = {};
  for (const transport of options.transports) {
    const clients = Array.from({ length: options.clients }, () => talk(transport));
    const outcomes = await Promise.allSettled(clients);
    for (const { reason } of outcomes.filter(({ status }) => status === 'rejected')) {
      verdict.fail(`${transport}: ${reason.message}`);
    }
    const nodes = outcomes.filter(({ status }) => status === 'fulfilled').map(({ value }) => value);
    verdict.facts.nodes[transport] = [...new Set(nodes)].sort();
  }
  process.stdout.write(`${verdict.line()}\n`, () => process.exit(verdict.held ? 0 : 1));
}

/** The node that has the session. */
function talk(transport) {
  const client = new SockJS(`${options.url}/echo`, null, { transports: [transport] });
  const messages = [];
  const done = new Promise((resolve, reject) => {
    client.onclose = ({ code, reason }) => reject(new Error(`closed with ${code} ${reason}`));
    client.onmessage = ({ data }) => {
      messages.push(data);
      if (messages.length > NUMBERS) resolve();
      // One after the other, so that each post is a request of its own.
      else client.send(String(messages.length));
    };
  });
  return within(ANSWER_MS, `echo by ${transport}`, done).then(() => {
    const used = client.transport;
    client.onclose = null;
    client.close();
    const [node, ...numbers] = messages;
    const expected = Array.from({ length: NUMBERS }, (_, index) => String(index + 1));
    if (numbers.join() !== expected.join()) throw new Error(`got ${numbers}`);
    if (used !== transport) throw new Error(`used ${used}`);
    return node;
  });
}

const NUMBERS = 10;

main();
