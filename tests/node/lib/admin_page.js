'use strict';
/** The page of the admin listener in a tab: what an operator sees of it and does in it. */

const path = require('node:path');
const { source: axe } = require('axe-core');

const { ANSWER_MS } = require('./deadline');

class AdminPage {
  /** Opens the page at `url` in a new tab. */
  static async open(browser, url) {
    const page = new AdminPage(await browser.newPage(), url);
    await page.goes('');
    return page;
  }

  constructor(page, url) {
    this.page = page;
    this.url = url;
    /** What a developer would find in red: failed requests, errors of scripts, what the policy forbids. */
    this.complaints = [];
    page.setDefaultTimeout(ANSWER_MS);
    page.on('pageerror', (error) => this.complaints.push(error.message));
    page.on('console', (message) => {
      const isMissing = /404/.test(message.text());
      if (message.type() === 'error' && !isMissing) this.complaints.push(message.text());
    });
  }

  async goes(hash) {
    await this.page.goto(`${this.url}/${hash}`, { waitUntil: 'domcontentloaded' });
  }

  /** The bytes and the time of a first load, and the bytes of a second one. */
  async load() {
    const client = await this.page.createCDPSession();
    await client.send('Network.enable');
    await client.send('Network.clearBrowserCache');
    let bytes = 0;
    // The stream of the overview goes on, and is none of the files.
    client.on('Network.loadingFinished', ({ encodedDataLength }) => { bytes += encodedDataLength; });
    const once = async () => {
      bytes = 0;
      await this.page.reload({ waitUntil: 'load' });
      await this.until('first screen', () => document.querySelector('.verdict') !== null);
      const millis = await this.page.evaluate(() => performance.getEntriesByType('navigation')[0].loadEventEnd);
      return { bytes, millis: Math.round(millis) };
    };
    const first = await once();
    const second = await once();
    await client.detach();
    return { ...first, again: second.bytes };
  }

  /** `/metrics`, at this moment. */
  async metrics() {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const lines = text.split('\n').filter((line) => !line.startsWith('#'));
    const of = (name, labels) => lines
      .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
      .filter((line) => Object.entries(labels).every(([label, value]) => line.includes(`${label}="${value}"`)))
      .map((line) => Number(line.split(' ').pop()));
    return {
      value: (name, labels) => of(name, labels)[0],
      sum: (name) => of(name, {}).reduce((sum, value) => sum + value, 0),
    };
  }

  /** A number of the first screen. */
  fact(title, what) {
    return this.page.$$eval('.figure', (figures, title, what) => {
      const figure = figures.find((figure) => figure.querySelector('h3').textContent === title);
      const facts = [...figure.querySelectorAll('.fact')];
      const fact = facts.find((fact) => fact.lastChild.textContent.trim() === what);
      return Number(fact.querySelector('b').textContent.replaceAll(',', ''));
    }, title, what);
  }

  /** The nodes as they are shown. */
  nodes() {
    return this.page.$$eval('.nodes tbody tr', (rows) => rows.map((row) => ({
      name: row.querySelector('th b').textContent,
      state: row.querySelector('.state').lastChild.textContent,
      sessions: Number(row.querySelector('.share').lastElementChild === row.querySelector('meter')
        ? row.querySelector('.share').textContent : row.querySelector('.share').lastElementChild.textContent.replaceAll(',', '')),
    })));
  }

  /** Until a number of the first screen is so. */
  shows(title, pattern) {
    const matches = (title, source) => {
      const figures = [...document.querySelectorAll('.figure')];
      const figure = figures.find((figure) => figure.querySelector('h3').textContent.includes(title));
      return new RegExp(source).test(figure?.textContent ?? '');
    };
    return this.until(`${pattern} in ${title}`, matches, title, pattern.source);
  }

  showsState(node, state) {
    const matches = (node, state) => [...document.querySelectorAll('.nodes tbody tr')].some((row) =>
      row.querySelector('th b').textContent === node && row.querySelector('.state').textContent.includes(state));
    return this.until(`${node} ${state}`, matches, node, state);
  }

  /** Presses the button of this name as somebody does who has no mouse. */
  async clicks(name) {
    await this.page.bringToFront();
    const selector = `::-p-aria([name="${name}"][role="button"])`;
    const button = await this.page.waitForSelector(selector);
    await button.focus();
    await this.page.keyboard.press('Enter');
  }

  async clicksText(text) {
    await this.page.bringToFront();
    const button = await this.page.waitForSelector(`::-p-xpath(//button[text()="${text}"])`);
    await button.click();
  }

  async types(label, text) {
    const input = await this.page.waitForSelector(`::-p-aria([name="${label}"][role="textbox"])`);
    await input.click({ count: 3 });
    await this.page.keyboard.press('Backspace');
    if (text !== '') await input.type(text);
  }

  /** How many sessions there are; `null` if the process cannot say. */
  async foundSessions() {
    await this.until('answer', () => document.querySelector('#open, .fault') !== null);
    return this.page.evaluate(() => {
      const open = document.querySelector('#open .quiet');
      return open === null ? null : Number(open.textContent.split(' of ').pop().replaceAll(',', ''));
    });
  }

  /** The client of the session that is opened. */
  async opensFirstSession() {
    const link = await this.page.waitForSelector('[aria-labelledby="open"] tbody a');
    const client = await link.evaluate((link) => link.textContent);
    await link.click();
    await this.until('time line', () => document.querySelector('#timeline') !== null);
    return client;
  }

  /** Pictures as seen on a desk and on a phone, by day and by night, and what axe finds in each. */
  async pictures(directory, name) {
    const taken = [];
    for (const theme of ['light', 'dark']) {
      await this.page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: theme }]);
      for (const width of [1280, 400]) {
        await this.page.bringToFront();
        await this.page.setViewport({ width, height: 860 });
        await this.page.evaluate(() => new Promise((drawn) => { requestAnimationFrame(() => requestAnimationFrame(drawn)); }));
        const file = path.join(directory, `${name}-${theme}-${width}.png`);
        await this.page.screenshot({ path: file, fullPage: true });
        const overhang = await this.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        taken.push({ file, overhang: Math.max(0, overhang), violations: await this.violations() });
      }
    }
    await this.page.setViewport({ width: 1280, height: 860 });
    return taken;
  }

  async violations() {
    // Past the policy of the page, as an extension of the browser would.
    await this.page.evaluate(axe);
    const found = await this.page.evaluate(async () => (await window.axe.run()).violations);
    return found.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 120)).join(' | ')}`);
  }

  /** Until `holds` says so inside the page. A text that changes in place is no mutation that Puppeteer sees. */
  async until(what, holds, ...values) {
    try {
      const held = await this.page.waitForFunction(holds, { polling: 50 }, ...values);
      return await held.jsonValue();
    } catch (error) {
      const shown = await this.page.evaluate(() => document.body.innerText.slice(0, 600)).catch(() => '');
      throw new Error(`no ${what} (${error.message}); shown: ${shown}`);
    }
  }
}

module.exports = { AdminPage };
