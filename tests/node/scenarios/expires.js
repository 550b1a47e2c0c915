'use strict';
/**
 * A client whose token expires while it is connected: its session ends by each transport, and it cannot
 * open another one.
 */

const PACKAGES = { 4: 'socket.io-client', 3: 'socket.io-client-3', 2: 'socket.io-client-2' };

module.exports = async function expires(options, verdict) {
  const ends = await Promise.all(options.transports.map((transport) => endOf(options, transport)));
  for (const [index, { connected, again }] of ends.entries()) {
    verdict.expect(connected, `no session by ${options.transports[index]}`);
    verdict.expect(!again, `another session by ${options.transports[index]}`);
  }
  verdict.facts.reasons = ends.map(({ reason }) => reason);
};

function endOf(options, transport) {
  const io = require(PACKAGES[options.line]);
  const extraHeaders = JSON.parse(options.headers);
  const socket = io(options.url[0], {
    path: options.path,
    transports: [transport],
    extraHeaders,
    transportOptions: { [transport]: { extraHeaders } },
    reconnection: false,
    forceNew: true,
  });
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
