'use strict';
/**
 * A client that the proxy refuses: its handshake fails with the status of the refusal, by each transport,
 * and it can tell so to its application. With `--status 200` it connects.
 */

const { openOnce } = require('../lib/socketio_client');

module.exports = async function refused(options, verdict) {
  for (const transport of options.transports) {
    const error = await refusalOf(options, transport);
    if (options.status === 200) {
      verdict.equal(error, null, `refusal by ${transport}`);
    } else if (error === null) {
      verdict.fail(`connected by ${transport}, and should be refused`);
    } else if (transport === 'polling') {
      verdict.equal(error.description, options.status, 'status of the poll');
    } else {
      const words = String(error.description?.message ?? error.message);
      verdict.expect(words.includes(String(options.status)), `the WebSocket was refused with ${words}`);
    }
  }
};

function refusalOf(options, transport) {
  const socket = openOnce(options, transport);
  return new Promise((resolve) => {
    socket.on('connect', () => resolve(null));
    socket.on('connect_error', resolve);
  }).finally(() => socket.close());
}
