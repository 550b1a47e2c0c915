'use strict';
/** Chromium without a window, from the system, with nothing left of it afterwards. */

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const puppeteer = require('puppeteer-core');

const { ANSWER_MS } = require('./deadline');

class Chromium {
  /** A new browser that knows nothing: its profile is an empty directory of its own. */
  static async start() {
    const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'sockeye-chromium-'));
    try {
      const browser = await puppeteer.launch({
        executablePath: program(),
        userDataDir: profile,
        // The browser ends with its end of the pipe: it never outlives us.
        pipe: true,
        args: ARGUMENTS,
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

/** The first browser on the PATH. */
function program() {
  const directories = (process.env.PATH ?? '').split(path.delimiter);
  for (const name of NAMES) {
    const found = directories.map((directory) => path.join(directory, name)).find(isProgram);
    if (found !== undefined) return found;
  }
  throw new Error(`none of ${NAMES.join(', ')} is on the PATH; run \`cargo xtask setup\``);
}

function isProgram(file) {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
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
