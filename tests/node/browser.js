'use strict';
/**
 * The page of `examples/cluster` in Chromium, used as a visitor would: three tabs, one of which stays
 * on polling. Prints its result as the last JSON line, as client.js does, and ends as it does.
 */

const fs = require('node:fs');
const path = require('node:path');

const { readArguments, refuse } = require('./lib/arguments');
const { Chromium } = require('./lib/chromium');
const { ClusterTab, POLLING, UPGRADED } = require('./lib/cluster_tab');
const { ANSWER_MS, within } = require('./lib/deadline');
const { Verdict } = require('./lib/verdict');
const { end, visitWith } = require('./lib/visit');

const options = readArguments('Usage: node browser.js --url URL [options]', {
  url: { kind: 'text', help: 'where the page is' },
  artifacts: { kind: 'text', otherwise: 'tests/artifacts', help: 'directory for screenshots' },
  deadline: { kind: 'number', otherwise: 60, help: 'seconds for all of it' },
});

async function main() {
  if (options.url === undefined) refuse('--url is missing');
  fs.mkdirSync(options.artifacts, { recursive: true });

  const verdict = new Verdict('browser');
  verdict.facts.screenshots = [];
  const last = async (browser) => verdict.held || (await keepLastSight(browser, verdict));
  await visitWith(Chromium.start(), visitPage, verdict, options.deadline, last);
  end(verdict);
}

async function visitPage(browser, verdict) {
  const first = await ClusterTab.open(browser, options.url, 'first-tab');
  await upgrades(first, verdict);
  const second = await ClusterTab.open(browser, options.url, 'second-tab');
  await upgrades(second, verdict);
  const polling = await openPollingTab(browser, first);
  const tabs = [first, second, polling];

  const nodes = await Promise.all(tabs.map((tab) => tab.node()));
  verdict.equal([...nodes].sort(), ['n1', 'n2', 'n3'], 'nodes of the three tabs');

  await crosses(first, second, verdict);
  await crosses(second, polling, verdict);
  await crosses(polling, first, verdict);
  await staysText(second, first, verdict);
  await reconnects(first, verdict);
  await crosses(first, second, verdict);
  await crosses(second, first, verdict);
  await keptTheirSessions(second, polling, verdict);
  await areListed(tabs);

  await looks(tabs, verdict);
  for (const tab of tabs) verdict.equal(tab.complaints, [], `complaints of ${tab.name}`);
}

/** Long polling is shown first, then the upgrade, and nothing between or after. */
async function upgrades(tab, verdict) {
  await tab.isConnected();
  await tab.isUpgraded();
  const shown = (await tab.transports()).filter((text) => text !== 'connecting');
  verdict.expect(
    shown.length === 2 && POLLING.test(shown[0]) && UPGRADED.test(shown[1]),
    `${tab.name} showed ${shown.join(', ')} instead of polling, then the upgrade`,
  );
}

/** By the button in `tab`. */
async function openPollingTab(browser, tab) {
  const isIt = (target) => target.url().includes('transport=polling');
  const [target] = await Promise.all([
    browser.waitForTarget(isIt, { timeout: ANSWER_MS }),
    tab.clicks('open-polling-tab'),
  ]);
  const polling = new ClusterTab(await target.page(), 'polling-tab');
  await polling.shows('transport', POLLING);
  await polling.isConnected();
  return polling;
}

/** What is said in `from` is heard in both, with the badge of the node that `from` is on. */
async function crosses(from, to, verdict) {
  const text = `Hello ${to.name}, from ${from.name}, number ${(said += 1)}`;
  const [node, otherNode, name] = await Promise.all([from.node(), to.node(), from.userName()]);
  await from.says(text);
  const [own, heard] = await Promise.all([from.hears(text), to.hears(text)]);

  const sent = { node, from: name, transport: await from.transport(), elements: 0 };
  verdict.equal(own, { ...sent, mine: true, crossed: null }, `'${text}' where it was said`);
  const crossed = otherNode === node ? null : otherNode;
  verdict.equal(heard, { ...sent, mine: false, crossed }, `'${text}' where it was heard`);
}

let said = 0;

/** What others type is never markup. */
async function staysText(from, to, verdict) {
  const text = '<img src="/none" onerror="window.injected = true">';
  await from.says(text);
  for (const tab of [from, to]) {
    verdict.equal((await tab.hears(text)).elements, 0, `elements made by a message in ${tab.name}`);
    const injected = await tab.page.evaluate(() => window.injected === true);
    verdict.expect(!injected, `a message ran as a script in ${tab.name}`);
  }
}

async function reconnects(tab, verdict) {
  const session = await tab.text('session');
  await tab.clicks('drop');
  await tab.shows('reconnects', /^1$/);
  await tab.isUpgraded();
  await tab.isConnected();
  verdict.expect((await tab.text('session')) !== session, 'a new connection has the old session');
}

/** Another tab's lost connection is no business of theirs. */
async function keptTheirSessions(second, polling, verdict) {
  const ofSecond = [await second.text('reconnects'), ...(await second.timeline())];
  const onNode = `on ${await second.node()}`;
  const expected = ['0', 'session opened by polling', onNode, 'upgraded to websocket'];
  verdict.equal(ofSecond.sort(), expected.sort(), 'reconnects and timeline of the second tab');

  const ofPolling = [await polling.text('reconnects'), ...(await polling.timeline())];
  verdict.equal(
    ofPolling,
    ['0', 'session opened by polling', `on ${await polling.node()}`],
    'reconnects and timeline of the polling-only tab',
  );
  verdict.expect(POLLING.test(await polling.text('transport')), 'the polling-only tab left polling');
}

/** Each tab knows of all tabs, and of none that is gone. */
async function areListed(tabs) {
  const rows = await Promise.all(
    tabs.map(async (tab) => `${await tab.node()} ${await tab.userName()} ${await tab.transport()}`),
  );
  rows.sort();
  for (const tab of tabs) await tab.lists(rows);
}

async function looks(tabs, verdict) {
  for (const tab of tabs) {
    verdict.facts.screenshots.push(...(await tab.screenshots(options.artifacts)));
    verdict.equal(await tab.overhangOnPhone(), 0, `pixels outside the screen of a phone in ${tab.name}`);
  }
}

/** After a failure: the current state of each tab, to find the cause. */
async function keepLastSight(browser, verdict) {
  const pages = await browser.pages().catch(() => []);
  for (const [index, page] of pages.entries()) {
    const file = path.join(options.artifacts, `failed-${index}.png`);
    const sight = page.screenshot({ path: file });
    const kept = await within(SIGHT_MS, 'screenshot', sight).then(() => true, () => false);
    if (kept) verdict.facts.screenshots.push(file);
  }
}

/** A browser that hangs must not cost the test its words. */
const SIGHT_MS = 2_000;

main();
