'use strict';
/**
 * A client whose token expires while it is connected: its session ends by each transport, and it cannot
 * open another one.
 */

const { openOnce } = require('../lib/socketio_client');

module.exports = async function expires(options, verdict) {
  const ends = await Promise.all(options.transports.map((transport) => endOf(options, transport)));
  for (const [index, { connected, again }] of ends.entries()) {
    verdict.expect(connected, `no session by ${options.transports[index]}`);
    verdict.expect(!again, `another session by ${options.transports[index]}`);
  }
  verdict.facts.reasons = ends.map(({ reason }) => reason);
};

function endOf(options, transport) {
  const socket = openOnce(options, transport);
  let connected = false;
  return new Promise((resolve) => {
    const nudge = setInterval(() => connected && socket.emit('echo', 'x'), 200);
    socket.once('connect_error', () => resolve({ connected, again: false, reason: null }));
    socket.once('connect', () => (connected = true));
    socket.once('disconnect', (reason) => {
      clearInterval(nudge);
      socket.once('connect', () => resolve({ connected, again: true, reason }));
      socket.off('connect_error');
      socket.once('connect_error', () => resolve({ connected, again: false, reason }));
      socket.connect();
    });
  }).finally(() => socket.close());
}
