'use strict';
/**
 * noVNC in Chromium on the desktop of `novnc_server.js`, wherever a proxy has it. Prints its result as the last JSON
 * line, as client.js does, and ends as it does.
 */

const { readArguments, refuse } = require('./lib/arguments');
const { Chromium } = require('./lib/chromium');
const { ANSWER_MS } = require('./lib/deadline');
const { Verdict } = require('./lib/verdict');
const { end, visitWith } = require('./lib/visit');

const options = readArguments('Usage: node novnc.js --url URL [options]', {
  url: { kind: 'text', help: 'the page, with a slash at its end' },
  deadline: { kind: 'number', otherwise: 60, help: 'seconds for all of it' },
});

async function main() {
  if (options.url === undefined) refuse('--url is missing');

  const verdict = new Verdict('novnc');
  await visitWith(Chromium.start([]), visitPage, verdict, options.deadline);
  end(verdict);
}

async function visitPage(browser, verdict) {
  const page = await browser.newPage();
  page.setDefaultTimeout(ANSWER_MS);
  const failed = [];
  page.on('response', (response) => {
    if (response.status() >= 400) failed.push(`${response.url()}: ${response.status()}`);
  });

  await page.goto(options.url, { waitUntil: 'load' });
  await page.waitForFunction(() => window.seen?.includes('connect'));
  // The screen is drawn some time after the message.
  const isDrawn = () => {
    const canvas = document.querySelector('#screen canvas');
    return canvas?.width > 0 && canvas.getContext('2d').getImageData(5, 5, 1, 1).data[1] === 200;
  };
  await page.waitForFunction(isDrawn);
  await page.evaluate(() => window.press());
  await page.waitForFunction(() => window.seen.includes('bell'));
  const seen = await page.evaluate(() => window.seen);
  verdict.equal(seen.includes('a desktop'), true, 'the name of the desktop');
  verdict.equal(seen.includes('disconnect'), false, 'whether it was disconnected');
  verdict.equal(failed, [], 'what was not found');
}

main();
