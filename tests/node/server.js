'use strict';
/**
 * A real Socket.IO node for the tests. Prints a ready line, then one JSON line for each event worth
 * asserting. SIGTERM closes in order; a closed stdin ends at once, since then the test is gone.
 */

const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const { readArguments, refuse } = require('./lib/arguments');
const { Counts, bufferedBytes } = require('./lib/counts');
const { serveEcho } = require('./lib/echo_websocket');
const { onStdinClosed } = require('./lib/lifetime');
const { report } = require('./lib/report');
const { startSocketIo } = require('./lib/socketio_server');

const options = readArguments('Usage: node server.js [options] < a pipe that stays open', {
  line: { kind: 'number', otherwise: 4, help: 'socket.io server line: 4 or 2' },
  host: { kind: 'text', otherwise: '127.0.0.1', help: 'address to listen at' },
  port: { kind: 'number', otherwise: 0, help: 'port; 0 lets the system choose' },
  socket: { kind: 'text', help: 'path of a Unix socket to listen on instead' },
  name: { kind: 'text', otherwise: 'n1', help: 'what whoami answers as node' },
  path: { kind: 'text', otherwise: '/socket.io/', help: 'path of Socket.IO' },
  redis: { kind: 'text', help: 'Unix socket of a Redis that joins the nodes' },
  'redis-delay': { kind: 'number', otherwise: 0, help: 'milliseconds that each message to that Redis waits' },
  streams: { kind: 'switch', help: 'join the nodes by streams of Redis, and recover connections' },
  speak: { kind: 'text', help: 'room that hears a number each second, on all nodes' },
  'allow-eio3': { kind: 'switch', help: 'serve clients of the 2.x line too' },
  threshold: { kind: 'number', otherwise: 1024, help: 'bytes from which answers are compressed' },
  'ping-interval': { kind: 'number', otherwise: 25_000, help: 'milliseconds' },
  'ping-timeout': { kind: 'number', otherwise: 20_000, help: 'milliseconds' },
  'keep-alive': { kind: 'number', otherwise: 5_000, help: 'milliseconds until an idle connection is closed' },
  chain: { kind: 'text', help: 'PEM file of a certificate: the node then speaks TLS' },
  key: { kind: 'text', help: 'PEM file of its key' },
  'client-ca': { kind: 'text', help: 'PEM file: clients must show a certificate of this authority' },
  transports: { kind: 'list', otherwise: ['polling', 'websocket'], help: 'what is offered' },
  block: { kind: 'number', otherwise: 0, help: 'milliseconds for which the event loop blocks, again and again' },
  'block-every': { kind: 'number', otherwise: 5_000, help: 'milliseconds from one such time to the next' },
  'max-payload': { kind: 'number', otherwise: 1_000_000, help: 'bytes' },
});

async function main() {
  if (options.line !== 4 && options.line !== 2) refuse('--line is 4 or 2');
  if (options.line === 2 && options.redis !== undefined) refuse('--redis wants --line 4');
  if (options.streams && options.redis === undefined) refuse('--streams wants --redis');
  if (options.chain !== undefined && options.key === undefined) refuse('--chain wants --key');

  const counts = new Counts();
  const figures = () => ({
    ...counts,
    buffered_bytes: bufferedBytes(io),
    open_sessions: io.engine.clientsCount,
  });
  const httpServer = createServer((request, response) => answer(request, response, figures));
  httpServer.keepAliveTimeout = options.keepAlive;
  httpServer.on('connection', () => counts.tcp_connections++);
  const echo = serveEcho(httpServer, options);
  const io = await startSocketIo(httpServer, options, counts);
  if (options.speak !== undefined) speak(io, options.speak);
  if (options.block > 0) setInterval(() => block(options.block), options.blockEvery);

  onStdinClosed(() => process.exit());
  process.once('SIGTERM', () => {
    report('stopping', { ...counts });
    stop(io, echo);
  });
  const { port, socket } = options;
  httpServer.listen(socket === undefined ? { port, host: options.host } : { path: socket }, () => {
    report('ready', { ready: true, port: httpServer.address().port ?? 1, pid: process.pid, name: options.name });
  });
}

function createServer(answer) {
  if (options.chain === undefined) return http.createServer(answer);
  const tls = { cert: fs.readFileSync(options.chain), key: fs.readFileSync(options.key) };
  if (options.clientCa !== undefined) {
    Object.assign(tls, { ca: fs.readFileSync(options.clientCa), requestCert: true, rejectUnauthorized: true });
  }
  return https.createServer(tls, answer);
}

/** Numbers, and when the last of them were said, so that who hears one knows what was missed, and when. */
function speak(io, room) {
  let number = 0;
  let times = [];
  setInterval(() => {
    times = [Date.now(), ...times].slice(0, REMEMBERED);
    io.to(room).emit('row', ++number, times);
  }, 1_000);
}

/** Ends all connections as an orderly restart does, then the process. */
function stop(io, echo) {
  for (const socket of echo.clients) socket.close(GOING_AWAY);
  io.close(() => process.exit());
  // A kept-alive connection, or a client that does not answer our Close, may hold us up.
  setTimeout(() => process.exit(), STOP_MS);
}

/** Ordinary requests: `/counts` tells the figures, `/block/N` then blocks us for N ms, all else tells who answered. */
function answer(request, response, figures) {
  const [, milliseconds] = BLOCK.exec(request.url) ?? [];
  if (milliseconds !== undefined) response.once('finish', () => block(Number(milliseconds)));
  const facts = request.url === '/counts' ? figures() : { node: options.name, url: request.url };
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(facts));
}

/** What an application does that computes in its event loop: nothing else happens meanwhile. */
function block(milliseconds) {
  const end = Date.now() + milliseconds;
  while (Date.now() < end);
}

const BLOCK = /^\/block\/(\d{1,5})$/;

const REMEMBERED = 8;

/** RFC 6455, section 7.4.1. */
const GOING_AWAY = 1001;
const STOP_MS = 3_000;

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
