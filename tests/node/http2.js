'use strict';
/**
 * A browser that speaks to a real Socket.IO node through the proxy, over TLS and HTTP/2: long polling,
 * the upgrade, and a WebSocket alone. Whether the WebSockets were streams of HTTP/2 is read from the
 * browser's own log. Prints its result as the last JSON line, as client.js does, and ends as it does.
 */

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { readArguments, refuse } = require('./lib/arguments');
const { Chromium } = require('./lib/chromium');
const { ANSWER_MS } = require('./lib/deadline');
const { Firefox } = require('./lib/firefox');
const { Verdict } = require('./lib/verdict');
const { end, visitWith } = require('./lib/visit');

const options = readArguments('Usage: node http2.js --url URL --browser NAME [options]', {
  url: { kind: 'text', help: 'https://localhost:PORT of the proxy' },
  browser: { kind: 'text', help: 'chromium or firefox' },
  deadline: { kind: 'number', otherwise: 120, help: 'seconds for all of it' },
});

async function main() {
  if (options.url === undefined) refuse('--url is missing');
  if (!(options.browser in BROWSERS)) refuse('--browser is chromium or firefox');

  const verdict = new Verdict(`http2 in ${options.browser}`);
  const logs = fs.mkdtempSync(path.join(os.tmpdir(), 'sockeye-http2-'));
  const { start, isExtendedConnect } = BROWSERS[options.browser];
  await visitWith(start(logs), visitPage, verdict, options.deadline);
  verdict.facts.extended_connects = countLines(logs, isExtendedConnect);
  verdict.expect(verdict.facts.extended_connects >= 2, 'the log has no two WebSockets over HTTP/2');
  fs.rmSync(logs, { recursive: true, force: true, maxRetries: 10 });
  end(verdict);
}

async function visitPage(browser, verdict) {
  verdict.facts.version = await browser.version();
  const page = await browser.newPage();
  page.setDefaultTimeout(ANSWER_MS);
  // Any document of this origin will do: the page is what the scripts make of it.
  await page.goto(`${options.url}/page`, { waitUntil: 'load' });
  await page.addScriptTag({ url: `${options.url}/socket.io/socket.io.js` });

  const upgraded = await page.evaluate(converse, ['polling', 'websocket']);
  verdict.equal(upgraded.transports, ['polling', 'websocket'], 'transports of the upgrade');
  verdict.equal(upgraded.echoes, ECHOES, 'echoes of the upgrade');
  const direct = await page.evaluate(converse, ['websocket']);
  verdict.equal(direct.transports, ['websocket'], 'transports of the WebSocket alone');
  verdict.equal(direct.echoes, ECHOES, 'echoes of the WebSocket alone');
  const polling = await page.evaluate(converse, ['polling']);
  verdict.equal(polling.echoes, ECHOES, 'echoes by polling alone');

  const protocols = await page.evaluate(protocolsOfPolls);
  verdict.facts.polls = protocols.length;
  verdict.equal([...new Set(protocols)], ['h2'], 'protocols of the polls');
}

/** Runs in the page: one session from its first request to its last echo. */
async function converse(transports) {
  const socket = window.io({ transports, forceNew: true, reconnection: false });
  const seen = [];
  const note = () => {
    const name = socket.io.engine.transport.name;
    if (seen.at(-1) !== name) seen.push(name);
  };
  const refused = new Promise((_, reject) => socket.on('connect_error', reject));
  // The handshake of Engine.IO. A fast upgrade ends before the namespace is connected.
  socket.io.once('open', note);
  await Promise.race([new Promise((resolve) => socket.on('connect', resolve)), refused]);
  note();
  if (transports.length > 1 && seen.at(-1) !== 'websocket') {
    await new Promise((resolve) => socket.io.engine.once('upgrade', resolve));
    note();
  }
  let echoes = 0;
  for (const length of [1, 1_000, 100_000]) {
    const text = 'x'.repeat(length);
    const echoed = await socket.timeout(10_000).emitWithAck('echo', text);
    if (echoed === text) echoes += 1;
  }
  socket.disconnect();
  return { transports: seen, echoes };
}

/** Runs in the page. */
function protocolsOfPolls() {
  const resources = performance.getEntriesByType('resource');
  return resources.filter((entry) => entry.name.includes('transport=polling')).map((entry) => entry.nextHopProtocol);
}

function countLines(directory, matches) {
  const files = fs.readdirSync(directory).map((name) => path.join(directory, name));
  return files.flatMap((file) => fs.readFileSync(file, 'utf8').split('\n')).filter(matches).length;
}

const ECHOES = 3;

const BROWSERS = {
  chromium: {
    start: (logs) => Chromium.start([`--log-net-log=${path.join(logs, 'net.json')}`]),
    isExtendedConnect: (line) => line.includes(':protocol: websocket'),
  },
  firefox: {
    start: (logs) => Firefox.start({ MOZ_LOG: 'timestamp,nsHttp:5', MOZ_LOG_FILE: path.join(logs, 'log') }),
    isExtendedConnect: (line) => line.includes('Http2Compressor::ProcessHeader :protocol websocket'),
  },
};

main();
