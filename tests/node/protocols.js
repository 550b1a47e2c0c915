'use strict';
/**
 * A node that speaks the protocols of several client libraries, as far as it takes to connect, at the paths
 * `/END/LIBRARY`. It plays the ENDs that a node makes itself, with the first connection at each path.
 * Prints a ready line. A closed stdin ends it.
 */

const { createServer } = require('node:http');
const { WebSocketServer } = require('ws');
const { readArguments } = require('./lib/arguments');
const { onStdinClosed } = require('./lib/lifetime');
const { report } = require('./lib/report');

const options = readArguments('Usage: node protocols.js [options] < a pipe that stays open', {
  port: { kind: 'number', otherwise: 0, help: 'port on 127.0.0.1; 0 lets the system choose' },
});

/** What a node does with a client that is connected. */
const ENDS = {
  /** It leaves without a Close frame. */
  left: (socket) => socket._socket.end(),
  /** It closes with the code for an error of its own. */
  failed: (socket) => socket.close(1011),
  /** It hangs: it reads no Pings. */
  lost: (socket) => socket._socket.pause(),
};

/** Answers a message, or the connection itself (`null`), and tells whether the client is connected then. */
const ANSWERS = {
  'graphql-ws'(socket, message) {
    if (!message?.includes('connection_init')) return false;
    socket.send('{"type":"connection_ack"}');
    return true;
  },
  partysocket: (_, message) => message === null,
  SignalR(socket, message) {
    // Its pings are not answered.
    if (!message?.includes('"protocol"')) return false;
    socket.send('{}\u001e');
    return true;
  },
  Phoenix: (_, message) => message === null,
  'Socket.IO'(socket, message) {
    if (message === null) {
      socket.send('0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}');
      return false;
    }
    if (message !== '40') return false;
    socket.send('40{"sid":"b"}');
    return true;
  },
};

const seen = new Set();
const server = createServer((_, response) => response.end());
const sockets = new WebSocketServer({ server, handleProtocols: (offered) => [...offered][0] ?? false });

sockets.on('connection', (socket, { url }) => {
  const path = new URL(url, 'http://node').pathname;
  const [, end, library] = path.split('/');
  const isFirst = !seen.has(path);
  seen.add(path);
  const answer = (message) => {
    if (!ANSWERS[library]?.(socket, message) || !isFirst) return;
    // The client is to know that it is connected before it loses the connection.
    setTimeout(() => ENDS[end]?.(socket), OPEN_MS);
  };
  socket.on('message', (message) => answer(message.toString()));
  // The proxy gives a node that hangs up.
  socket.on('error', () => {});
  answer(null);
});
server.listen(options.port, '127.0.0.1', () => report('ready', { ready: true, port: server.address().port }));
onStdinClosed(() => process.exit());

const OPEN_MS = 200;
