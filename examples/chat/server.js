'use strict';
/**
 * One node of the chat. Run several, each with its own name and port; Redis carries messages between
 * them. Nothing here depends on the proxy.
 */

const http = require('node:http');
const { readFile } = require('node:fs/promises');
const { join } = require('node:path');
const { parseArgs } = require('node:util');
const { createAdapter } = require('@socket.io/redis-adapter');
const { createClient } = require('redis');
const { Server } = require('socket.io');

const { values: options } = parseArgs({
  options: {
    name: { type: 'string', default: 'node' },
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '3000' },
    // A URL, or the path of a Unix socket.
    redis: { type: 'string', default: 'redis://127.0.0.1:6379' },
  },
});

async function main() {
  const page = await readFile(join(__dirname, 'public', 'index.html'));
  const publisher = createClient(address(options.redis));
  const subscriber = publisher.duplicate();
  for (const client of [publisher, subscriber]) {
    client.on('error', (error) => console.error(`redis: ${error.message}`));
    await client.connect();
  }

  const httpServer = http.createServer((_, response) => {
    response.setHeader('Content-Type', 'text/html; charset=utf-8');
    response.end(page);
  });
  const io = new Server(httpServer, { adapter: createAdapter(publisher, subscriber) });
  io.on('connection', (socket) => welcome(io, socket));

  httpServer.listen(Number(options.port), options.host, () => {
    const { port } = httpServer.address();
    console.log(`${options.name} listens on http://${options.host}:${port}`);
  });
  process.once('SIGTERM', () => io.close(() => process.exit()));
}

/** Tells a client the name of its node, and passes its messages on to the clients of all nodes. */
function welcome(io, socket) {
  const name = short(socket.handshake.auth.name, NAME_LENGTH_MAX) || 'somebody';
  socket.emit('welcome', { node: options.name });
  socket.on('say', (text) => {
    const said = short(text, TEXT_LENGTH_MAX);
    if (said) io.emit('said', { name, text: said, node: options.name });
  });
}

/** Clients can send anything: accept only text, up to a maximum length. */
function short(value, lengthMax) {
  return typeof value === 'string' ? value.trim().slice(0, lengthMax) : '';
}

function address(redis) {
  return redis.startsWith('/') ? { socket: { path: redis } } : { url: redis };
}

const NAME_LENGTH_MAX = 40;
const TEXT_LENGTH_MAX = 1_000;

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
