'use strict';
/** Chromium without a window, from the system, with nothing left of it afterwards. */

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const puppeteer = require('puppeteer-core');

const { ANSWER_MS } = require('./deadline');
const { findProgram } = require('./program');

class Chromium {
  /**
   * A new browser that knows nothing: its profile is an empty directory of its own. It trusts any
   * certificate.
   *
   * @param {string[]} [more] further arguments of the program
   */
  static async start(more = []) {
    const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'sockeye-chromium-'));
    try {
      const browser = await puppeteer.launch({
        executablePath: findProgram(NAMES),
        userDataDir: profile,
        acceptInsecureCerts: true,
        // The browser ends with its end of the pipe: it never outlives us.
        pipe: true,
        args: [...ARGUMENTS, ...more],
        timeout: ANSWER_MS,
        protocolTimeout: ANSWER_MS,
      });
      return new Chromium(browser, profile);
    } catch (error) {
      remove(profile);
      throw error;
    }
  }

  constructor(browser, profile) {
    this.browser = browser;
    this.profile = profile;
  }

  /** Ends the browser, in order if it still answers. */
  async close() {
    await this.browser.close().catch(() => this.browser.process()?.kill('SIGKILL'));
    remove(this.profile);
  }
}

function remove(directory) {
  // Processes of the browser that are about to end may still write.
  fs.rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
}

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

const ARGUMENTS = [
  '--headless=new',
  // Containers have neither the name spaces for a sandbox nor a GPU. All pages are our own.
  '--no-sandbox',
  '--disable-gpu',
  // Nothing goes to the network that the page does not ask for.
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

module.exports = { Chromium };
