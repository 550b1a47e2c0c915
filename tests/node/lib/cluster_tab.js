'use strict';
/** A tab with the page of `examples/cluster`: what a user sees of it and does in it. */

const path = require('node:path');

const { ANSWER_MS } = require('./deadline');

class ClusterTab {
  /** Opens `url` in a new tab and watches its transport from the first moment. */
  static async open(browser, url, name) {
    const page = await browser.newPage();
    await page.evaluateOnNewDocument(recordTransports);
    const tab = new ClusterTab(page, name);
    await page.goto(url, { waitUntil: 'domcontentloaded' });
    return tab;
  }

  /** `page` is the page of a tab, which may be older than this object. */
  constructor(page, name) {
    this.page = page;
    this.name = name;
    /** What a developer would find in red: failed requests, errors of scripts. */
    this.complaints = [];
    page.setDefaultTimeout(ANSWER_MS);
    page.on('pageerror', (error) => this.complaints.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') this.complaints.push(message.text());
    });
  }

  /** The text of the element with this id. */
  text(id) {
    return this.page.$eval(`#${id}`, (element) => element.textContent);
  }

  node() {
    return this.text('node');
  }

  userName() {
    return this.page.$eval('#name', (input) => input.value);
  }

  /** The transport of a connected tab. */
  async transport() {
    return UPGRADED.test(await this.text('transport')) ? 'websocket' : 'polling';
  }

  /** All texts that the place for the transport has shown, oldest first. */
  transports() {
    return this.page.evaluate(() => window.shownTransports);
  }

  /** What happened to the connection, in the page's words; the times are left out. */
  timeline() {
    return this.page.$$eval('#timeline li', (items) => items.map((item) => item.lastChild.textContent));
  }

  /** Until the text of the element with this id matches `pattern`. */
  async shows(id, pattern) {
    // A page that is still loading has no such element yet.
    const matches = (id, source) => new RegExp(source).test(document.getElementById(id)?.textContent ?? '');
    await this.until(`${pattern} in #${id}`, matches, id, pattern.source);
  }

  /** Until the tab is on a node, by long polling or any transport after it. */
  async isConnected() {
    await this.shows('node', /^n\d$/);
  }

  async isUpgraded() {
    await this.shows('transport', UPGRADED);
  }

  /** Until the list of all tabs has just these rows, each `node name transport`, sorted. */
  async lists(rows) {
    await this.until(`list of tabs ${rows.join(', ')}`, listsTabs, rows);
  }

  async says(text) {
    await this.page.bringToFront();
    await this.page.focus('#text');
    await this.page.keyboard.sendCharacter(text);
    await this.page.click('#say button');
  }

  async clicks(id) {
    await this.page.bringToFront();
    await this.page.click(`#${id}`);
  }

  /** The message with this text, when it is there: who said it, on which node, by which transport. */
  async hears(text) {
    const isThere = (text) => {
      const texts = document.querySelectorAll('.message > p:last-child');
      return [...texts].some((element) => element.textContent === text);
    };
    await this.until(`message ${text}`, isThere, text);
    return this.page.$$eval('.message', readMessage, text);
  }

  /** Writes PNGs as seen on a desk and on a phone; gives their paths. */
  async screenshots(directory) {
    const files = [];
    for (const [device, viewport] of Object.entries(VIEWPORTS)) {
      await this.page.bringToFront();
      await this.page.setViewport(viewport);
      const file = path.join(directory, `${this.name}-${device}.png`);
      await this.page.screenshot({ path: file, fullPage: true });
      files.push(file);
    }
    return files;
  }

  /** By how many pixels the page is wider than a phone. */
  async overhangOnPhone() {
    await this.page.setViewport(VIEWPORTS.phone);
    return this.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  }

  /** Until `holds` says so inside the page, asked again after each change of the page. */
  async until(what, holds, ...values) {
    try {
      // A tab in the background draws no frames, so waiting for one would never end.
      await this.page.waitForFunction(holds, { polling: 'mutation' }, ...values);
    } catch (error) {
      const state = await this.text('transport').catch(() => 'nothing');
      throw new Error(`${this.name}: no ${what} (${error.message}); its transport is: ${state}`);
    }
  }
}

/** Runs in the page before its own scripts. */
function recordTransports() {
  window.shownTransports = [];
  const record = () => {
    const text = document.getElementById('transport')?.textContent;
    if (text !== undefined && text !== window.shownTransports.at(-1)) window.shownTransports.push(text);
  };
  new MutationObserver(record).observe(document, { childList: true, characterData: true, subtree: true });
}

/** Runs in the page. */
function listsTabs(expected) {
  const rows = [...document.querySelectorAll('#nodes .tab')].map((tab) => {
    const node = tab.closest('#nodes > li').querySelector('.badge').textContent;
    const [name, transport] = [...tab.children].map((part) => part.textContent);
    return `${node} ${name.replace(' (this tab)', '')} ${transport}`;
  });
  return rows.sort().join() === expected.join();
}

/** Runs in the page. */
function readMessage(messages, text) {
  const message = messages.find((message) => message.lastChild.textContent === text);
  return {
    node: message.querySelector('.badge').textContent,
    from: message.querySelector('strong').textContent,
    transport: message.querySelector('.transport').textContent,
    mine: message.classList.contains('mine'),
    crossed: message.firstChild.textContent.match(/crossed to (n\d)/)?.[1] ?? null,
    /** Elements that the text itself made. */
    elements: message.lastChild.childElementCount,
  };
}

const POLLING = /^polling after \d+(\.\d)? m?s$/;
const UPGRADED = /^polling → websocket after \d+(\.\d)? m?s$/;

const VIEWPORTS = {
  desktop: { width: 1280, height: 800 },
  // Not `isMobile`: that would reload the page.
  phone: { width: 390, height: 844, deviceScaleFactor: 2 },
};

module.exports = { ClusterTab, POLLING, UPGRADED };
