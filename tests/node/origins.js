'use strict';
/**
 * Pages of two origins in Chromium that use a real Socket.IO node of a third origin through the proxy, by
 * long polling, by Socket.IO's WebSocket, and by a WebSocket of their own. Prints its result as the last
 * JSON line, as client.js does, and ends as it does.
 */

const { readArguments, refuse } = require('./lib/arguments');
const { Chromium } = require('./lib/chromium');
const { ANSWER_MS } = require('./lib/deadline');
const { Verdict } = require('./lib/verdict');
const { end, visitWith } = require('./lib/visit');

const options = readArguments('Usage: node origins.js --url URL --pages PORT [options]', {
  url: { kind: 'text', help: 'http://HOST:PORT of the proxy' },
  pages: { kind: 'number', help: 'the port on which any host serves a page' },
  deadline: { kind: 'number', otherwise: 60, help: 'seconds for all of it' },
});

async function main() {
  if (options.url === undefined || options.pages === undefined) refuse('--url or --pages is missing');

  const verdict = new Verdict('origins');
  const launch = Chromium.start(['--host-resolver-rules=MAP *.test 127.0.0.1']);
  await visitWith(launch, visitPages, verdict, options.deadline);
  end(verdict);
}

async function visitPages(browser, verdict) {
  const all = { polling: 'open', websocket: 'open', plain: 'open' };
  const none = { polling: 'refused', websocket: 'refused', plain: 'refused' };
  verdict.equal(await outcomes(browser, 'allowed.test'), all, 'a page of the allowed origin');
  verdict.equal(await outcomes(browser, 'evil.test'), none, 'a page of another origin');
  verdict.equal(await outcomes(browser, 'allowed.test.evil.test'), none, 'a page of a similar origin');
}

/** What a page of `host` can open. */
async function outcomes(browser, host) {
  const page = await browser.newPage();
  page.setDefaultTimeout(ANSWER_MS);
  await page.goto(`http://${host}:${options.pages}/`, { waitUntil: 'load' });
  await page.addScriptTag({ url: `${options.url}/socket.io/socket.io.js` });
  const found = {
    polling: await page.evaluate(connect, options.url, 'polling'),
    websocket: await page.evaluate(connect, options.url, 'websocket'),
    plain: await page.evaluate(openWebSocket, options.url),
  };
  await page.close();
  return found;
}

/** Runs in the page. */
function connect(url, transport) {
  const socket = window.io(url, { transports: [transport], forceNew: true, reconnection: false });
  return new Promise((resolve) => {
    socket.on('connect', () => resolve('open'));
    socket.on('connect_error', () => resolve('refused'));
  }).finally(() => socket.disconnect());
}

/** Runs in the page. */
function openWebSocket(url) {
  const target = `${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`;
  const socket = new WebSocket(target);
  return new Promise((resolve) => {
    socket.onopen = () => resolve('open');
    socket.onerror = () => resolve('refused');
  }).finally(() => socket.close());
}

main();
