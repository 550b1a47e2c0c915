'use strict';
/**
 * A visit with a browser: from its launch to the line that says what came of it.
 */

const { within } = require('./deadline');
const { onStdinClosed } = require('./lifetime');

/**
 * Lets `visit` use the browser that `launch` gives, for so many seconds at most. What goes wrong is noted
 * in `verdict`.
 *
 * @param {Function} [last] gets the browser when the visit is over, before it closes
 */
async function visitWith(launch, visit, verdict, seconds, last = async () => {}) {
  const abandoned = new Promise((_, reject) => onStdinClosed(() => reject(new Error('stdin is closed'))));
  const visited = launch.then(({ browser }) => visit(browser, verdict));
  try {
    await within(seconds * 1_000, 'end of the visit', Promise.race([visited, abandoned]));
  } catch (error) {
    verdict.fail(error.message);
  }
  // The visit has reported a launch that failed.
  const launched = await launch.catch(() => null);
  if (launched !== null) await last(launched.browser);
  await launched?.close();
}

/** Prints the verdict as the last line, and ends the process. */
function end(verdict) {
  process.stdout.write(`${verdict.line()}\n`);
  process.exit(verdict.held ? 0 : 1);
}

module.exports = { end, visitWith };
