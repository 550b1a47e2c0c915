'use strict';
/**
 * A single-page application in Chromium whose files, API and Socket.IO server have one origin, as
 * `tests/behavior/edge/application.rs` serves it. Prints its result as the last JSON line, as client.js does,
 * and ends as it does.
 */

const { readArguments, refuse } = require('./lib/arguments');
const { Chromium } = require('./lib/chromium');
const { ANSWER_MS } = require('./lib/deadline');
const { Verdict } = require('./lib/verdict');
const { end, visitWith } = require('./lib/visit');

const options = readArguments('Usage: node application.js --url URL [options]', {
  url: { kind: 'text', help: 'http://HOST:PORT of the proxy' },
  deadline: { kind: 'number', otherwise: 60, help: 'seconds for all of it' },
});

async function main() {
  if (options.url === undefined) refuse('--url is missing');

  const verdict = new Verdict('application');
  await visitWith(Chromium.start([]), visitPage, verdict, options.deadline);
  end(verdict);
}

async function visitPage(browser, verdict) {
  const page = await browser.newPage();
  page.setDefaultTimeout(ANSWER_MS);
  const answers = new Map();
  page.on('response', (response) => answers.set(new URL(response.url()).pathname, response));

  // A path of the application, at which there is no file.
  await page.goto(`${options.url}/users/7`, { waitUntil: 'load' });
  const outcome = await page.evaluate(() => window.outcome);
  verdict.equal(outcome.path, '/users/7', 'the path that the application sees');
  verdict.equal(outcome.api, { user: 7 }, 'the answer of its API');
  verdict.equal(outcome.transports, ['polling', 'websocket'], 'its transports');
  verdict.equal(outcome.echo, 'hello', 'its echo');

  const field = (path, name) => answers.get(path)?.headers()[name];
  verdict.equal(answers.get('/users/7')?.status(), 200, 'the status of its page');
  verdict.equal(field('/users/7', 'cache-control'), 'no-cache', 'how long its page is kept');
  verdict.equal(field('/assets/app.js', 'cache-control'), 'public, max-age=3600', 'how long its script is kept');
  verdict.equal(field('/assets/style.css', 'content-encoding'), 'zstd', 'the coding of its style');
  verdict.equal(outcome.color, 'rgb(1, 2, 3)', 'what became of its style');

  const missing = await page.evaluate(async () => (await fetch('/assets/gone.js')).status);
  verdict.equal(missing, 404, 'the status of a script that is missing');
  await page.goto(`${options.url}/about`, { waitUntil: 'load' });
  verdict.equal((await page.evaluate(() => window.outcome)).path, '/about', 'another path');
}

main();
