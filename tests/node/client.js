'use strict';
/**
 * A real client for the tests: runs one scenario and prints its result as the last JSON line.
 * Ends with 0 only when the scenario held, 1 when it did not, 2 on a wrong command line.
 */

const { readArguments, refuse } = require('./lib/arguments');
const { within } = require('./lib/deadline');
const { Verdict } = require('./lib/verdict');

const SCENARIOS = ['basics', 'chat', 'comeback', 'crowd', 'deflate', 'expires', 'http2', 'jsonp', 'ordered', 'refused', 'roaming', 'rooms', 'survive'];

const options = readArguments('Usage: node client.js --url URL[,URL...] --scenario NAME [options]', {
  url: { kind: 'list', help: 'where to connect; scenarios with several clients take turns' },
  scenario: { kind: 'text', help: SCENARIOS.join(', ') },
  line: { kind: 'number', otherwise: 4, help: 'socket.io-client line: 4, 3 or 2' },
  transports: { kind: 'list', otherwise: ['polling', 'websocket'], help: 'in the order of trying' },
  path: { kind: 'text', otherwise: '/socket.io/', help: 'path of Socket.IO' },
  headers: { kind: 'text', otherwise: '{}', help: 'header fields of `refused` and `expires`, as JSON' },
  status: { kind: 'number', otherwise: 403, help: 'with which `refused` is refused' },
  clients: { kind: 'number', help: 'how many; each scenario has its own default' },
  messages: { kind: 'number', help: 'how many; each scenario has its own default' },
  arrivals: { kind: 'number', otherwise: 80, help: 'clients that begin each second, in `crowd`' },
  pace: { kind: 'number', otherwise: 2_000, help: 'milliseconds between two echoes of a client of `crowd`' },
  control: { kind: 'list', otherwise: [], help: 'nodes that `crowd` asks past the proxy, to compare' },
  patience: { kind: 'number', otherwise: 20, help: 'seconds to wait for messages that are missing' },
  deadline: { kind: 'number', otherwise: 60, help: 'seconds for the whole scenario' },
});

async function main() {
  if (options.url === undefined) refuse('--url is missing');
  if (!SCENARIOS.includes(options.scenario)) refuse(`--scenario is one of ${SCENARIOS.join(', ')}`);
  if (![4, 3, 2].includes(options.line)) refuse('--line is 4, 3 or 2');

  const scenario = require(`./scenarios/${options.scenario}`);
  const verdict = new Verdict(options.scenario);
  try {
    await within(options.deadline * 1_000, 'end of the scenario', scenario(options, verdict));
  } catch (error) {
    verdict.fail(error.message);
  }
  process.stdout.write(`${verdict.line()}\n`);
  process.exit(verdict.held ? 0 : 1);
}

main();
