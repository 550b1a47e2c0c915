'use strict';
/**
 * The page of the admin listener in Chromium, while Socket.IO clients send through the proxy: its numbers
 * against the metrics, a drain by its button, sessions, accessibility, pictures of each screen. Prints its
 * result as the last JSON line, as client.js does, and ends as it does.
 */

const fs = require('node:fs');

const { AdminPage } = require('./lib/admin_page');
const { readArguments, refuse } = require('./lib/arguments');
const { Chromium } = require('./lib/chromium');
const { Talkers } = require('./lib/talkers');
const { Verdict } = require('./lib/verdict');
const { end, visitWith } = require('./lib/visit');

const options = readArguments('Usage: node seeing.js --url URL --admin URL [options]', {
  url: { kind: 'text', help: 'where the proxy is' },
  admin: { kind: 'text', help: 'where its admin listener is' },
  artifacts: { kind: 'text', otherwise: 'tests/artifacts/seeing', help: 'directory for screenshots' },
  clients: { kind: 'number', otherwise: 12, help: 'how many clients talk' },
  deadline: { kind: 'number', otherwise: 100, help: 'seconds for all of it' },
});

async function main() {
  if (options.url === undefined || options.admin === undefined) refuse('--url or --admin is missing');
  fs.mkdirSync(options.artifacts, { recursive: true });
  const verdict = new Verdict('seeing');
  verdict.facts.screenshots = [];
  const talkers = await Talkers.start(options.url, options.clients);
  await visitWith(Chromium.start(), (browser) => visitPage(browser, talkers, verdict), verdict, options.deadline);
  talkers.stop();
  end(verdict);
}

async function visitPage(browser, talkers, verdict) {
  const page = await AdminPage.open(browser, options.admin);
  await loadsFast(page, verdict);
  await page.shows('sessions', new RegExp(`${options.clients}.*WebSocket`));
  await equalsMetrics(page, verdict);
  await talksAreCounted(page, verdict);
  await pictures(page, 'overview', verdict);
  await drains(page, verdict);
  await sessions(page, talkers, verdict);
  verdict.equal(page.complaints, [], 'complaints of the page');
}

/** On loopback, all files together. */
async function loadsFast(page, verdict) {
  const { bytes, millis, again } = await page.load();
  Object.assign(verdict.facts, { bytes, millis });
  verdict.expect(bytes < 100_000, `the first load takes ${bytes} bytes`);
  // A machine that compiles at the same time is no measure of the page.
  verdict.expect(millis < 2_000, `the first load takes ${millis} ms`);
  verdict.expect(again < bytes / 4, `a second load takes ${again} bytes`);
}

async function equalsMetrics(page, verdict) {
  const metrics = await page.metrics();
  const open = metrics.sum('sockeye_node_tunnels_open');
  verdict.equal(await page.fact('Open sessions', 'WebSocket'), open, 'open WebSockets');
  for (const node of await page.nodes()) {
    const ofNode = metrics.value('sockeye_node_tunnels_open', { node: node.name });
    verdict.equal(node.sessions, ofNode, `WebSockets of ${node.name}`);
  }
}

async function talksAreCounted(page, verdict) {
  const sent = await page.until('messages', () => {
    const facts = [...document.querySelectorAll('.figure')].find((figure) => figure.textContent.includes('Messages'));
    const value = Number(facts?.querySelector('.fact b').textContent.replaceAll(',', ''));
    return value > 0 ? value : false;
  });
  verdict.expect(sent > 0, 'no messages are shown');
}

/** A node is drained by its button, which asks once more. */
async function drains(page, verdict) {
  const [{ name }] = await page.nodes();
  await page.clicks(`Drain ${name}`);
  await page.clicks(`Drain ${name}`);
  await page.showsState(name, 'draining');
  const metrics = await page.metrics();
  verdict.equal(metrics.value('sockeye_node_state', { node: name, state: 'draining' }), 1, `state of ${name}`);
  await page.clicks(`End drain of ${name}`);
  await page.showsState(name, 'up');
}

/** Finds a session, watches it, and ends it, if the process can. */
async function sessions(page, talkers, verdict) {
  await page.goes('#/sessions');
  const found = await page.foundSessions();
  verdict.facts.sessions = found;
  await pictures(page, 'sessions', verdict);
  if (found === null) return;
  // Some were ended by the drain, and are about to come back.
  verdict.expect(found > options.clients / 2 && found <= options.clients, `${found} sessions found`);
  await page.types('Node', 'no such node');
  await page.until('no session', () => document.body.textContent.includes('No open session is like this.'));
  await page.types('Node', '');
  const client = await page.opensFirstSession();
  await page.clicksText('Watch');
  verdict.facts.watched = await page.until('frames', () => {
    if (document.querySelector('.fault') !== null) return 'cannot be watched';
    return document.querySelectorAll('.frames tbody tr').length >= 3 && 'frames';
  });
  await pictures(page, 'session', verdict);
  const lost = talkers.disconnects;
  await page.clicks(`End session of ${client}`);
  await page.clicksText('End it');
  await page.until('its end', () => document.querySelector('.outcome') !== null);
  await talkers.untilDisconnects(lost + 1);
  await pictures(page, 'ended', verdict);
}

async function pictures(page, name, verdict) {
  for (const { file, violations, overhang } of await page.pictures(options.artifacts, name)) {
    verdict.facts.screenshots.push(file);
    verdict.equal(violations, [], `what axe finds in ${file}`);
    verdict.equal(overhang, 0, `pixels outside the screen in ${file}`);
  }
}

main();
