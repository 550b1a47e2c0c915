'use strict';
/**
 * A client that asks a node past the proxy, again and again, and tells how long a connection takes: what a
 * client of the crowd waits beyond that is the proxy's doing, and what it waits within that is the machine's.
 */

const { Client } = require('./socketio_client');
const { report } = require('./report');

/** Connects to `url` every so often, forever; it does not matter whether the node is there. */
function control(url, options) {
  setTimeout(() => connectOnce(url, options), EVERY_MS);
}

function connectOnce(url, options) {
  const began = performance.now();
  const { socket } = new Client(url, { ...options, transports: ['polling'] });
  const end = (event) => {
    report(event, { url, at: Date.now(), milliseconds: Math.round(performance.now() - began) });
    socket.off();
    socket.disconnect();
    control(url, options);
  };
  socket.on('connect', () => end('control'));
  socket.on('connect_error', () => end('control_refused'));
}

const EVERY_MS = 200;

module.exports = { control };
