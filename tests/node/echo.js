'use strict';
/**
 * A WebSocket server that sends everything back and bounds nothing, for the Autobahn fuzzing client.
 * Prints a ready line. A closed stdin ends it.
 */

const { WebSocketServer } = require('ws');
const { readArguments } = require('./lib/arguments');
const { onStdinClosed } = require('./lib/lifetime');
const { report } = require('./lib/report');

const options = readArguments('Usage: node echo.js [options] < a pipe that stays open', {
  port: { kind: 'number', otherwise: 0, help: 'port on 127.0.0.1; 0 lets the system choose' },
});

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: options.port,
  // Autobahn cuts 4 MiB into frames of 64 bytes, which is more than ws takes by default.
  maxFragments: 0,
  maxBufferedChunks: 0,
  perMessageDeflate: { threshold: 0 },
});

server.on('connection', (socket) => {
  socket.on('message', (payload, isBinary) => socket.send(payload, { binary: isBinary }));
  // The fuzzing client breaks the protocol on purpose; ws has answered it already.
  socket.on('error', () => {});
});
server.on('listening', () => report('ready', { ready: true, port: server.address().port }));
onStdinClosed(() => process.exit());
