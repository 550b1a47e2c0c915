'use strict';
/** Firefox without a window, from the system, by WebDriver BiDi, with nothing left of it afterwards. */

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const puppeteer = require('puppeteer-core');

const { ANSWER_MS } = require('./deadline');
const { findProgram } = require('./program');

class Firefox {
  /**
   * A new browser that knows nothing: its profile is an empty directory of its own. It trusts any
   * certificate.
   *
   * @param {Object<string, string>} [environment] further variables of the process
   */
  static async start(environment = {}) {
    const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'sockeye-firefox-'));
    try {
      const browser = await puppeteer.launch({
        browser: 'firefox',
        executablePath: findProgram(NAMES),
        userDataDir: profile,
        acceptInsecureCerts: true,
        headless: true,
        env: { ...process.env, ...environment },
        timeout: START_MS,
        protocolTimeout: ANSWER_MS,
      });
      return new Firefox(browser, profile);
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

const NAMES = ['firefox', 'firefox-esr'];

/** Its first start writes a profile, while compilers may use the same cores. */
const START_MS = 60_000;

module.exports = { Firefox };
