'use strict';
/**
 * A SockJS node at `/echo`: it greets each client with its name and sends back what it gets.
 * Prints a ready line. A closed stdin ends it.
 */

const { createServer } = require('node:http');
const sockjs = require('sockjs');
const { readArguments } = require('./lib/arguments');
const { onStdinClosed } = require('./lib/lifetime');
const { report } = require('./lib/report');

const options = readArguments('Usage: node sockjs_server.js [options] < a pipe that stays open', {
  name: { kind: 'text', otherwise: 'n1', help: 'what it tells its clients' },
});

const server = createServer((_, response) => response.end());
const echo = sockjs.createServer({ log: () => {}, sockjs_url: '/none.js' });
echo.on('connection', (client) => {
  client.write(options.name);
  client.on('data', (message) => client.write(message));
});
echo.installHandlers(server, { prefix: '/echo' });
server.listen(0, '127.0.0.1', () => report('ready', { port: server.address().port }));
onStdinClosed(() => process.exit());
