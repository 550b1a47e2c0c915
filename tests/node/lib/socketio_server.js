'use strict';
/**
 * A Socket.IO server of either line on a given HTTP server.
 */

const { serve } = require('./application');
const { answerDoctor } = require('./doctor_lines');
const { report } = require('./report');

/**
 * @param {import('node:http').Server} httpServer
 * @param {Object} options the command line of `server.js`
 * @param {import('./counts').Counts} counts
 * @returns {Promise<Object>} the server, ready to accept
 */
async function startSocketIo(httpServer, options, counts) {
  const io = await (options.line === 2 ? lineTwo : lineFour)(httpServer, options);
  for (const name of ['/', '/chat']) {
    io.of(name).on('connection', (socket) => serve(socket, options.name));
  }
  answerDoctor(io);
  io.of('/').on('connection', (socket) => watch(socket, counts));
  io.engine.on('connection', () => counts.sessions_at.push(Date.now()));
  io.engine.on('connection_error', ({ code, message }) => {
    counts.connectionError(code);
    report('connection_error', { code, message });
  });
  return io;
}

async function lineFour(httpServer, options) {
  const { Server } = require('socket.io');
  const io = new Server(httpServer, {
    ...shared(options),
    allowEIO3: options.allowEio3,
    cors: { origin: '*' },
    ...(options.streams ? { connectionStateRecovery: {} } : {}),
  });
  if (options.redis !== undefined) {
    io.adapter(await (options.streams ? redisStreamsAdapter : redisAdapter)(options.redis, options.redisDelay));
  }
  return io;
}

function lineTwo(httpServer, options) {
  return require('socket.io-2')(httpServer, shared(options));
}

/** What both lines call by the same name. */
function shared({ path, pingInterval, pingTimeout, maxPayload, threshold, transports }) {
  return {
    path,
    transports,
    pingInterval,
    pingTimeout,
    maxHttpBufferSize: maxPayload,
    httpCompression: { threshold },
  };
}

/** As below, and with a memory: a client that returns to any node gets what it has missed. */
async function redisStreamsAdapter(path) {
  const { createAdapter } = require('@socket.io/redis-streams-adapter');
  return createAdapter(await redisClient(path));
}

/** Rooms that span nodes, over the Redis that listens on the Unix socket `path`, each message `delay` ms late. */
async function redisAdapter(path, delay) {
  const { createAdapter } = require('@socket.io/redis-adapter');
  const client = await redisClient(path);
  const publish = client.publish.bind(client);
  client.publish = async (...message) => {
    await new Promise((resolve) => setTimeout(resolve, delay));
    return publish(...message);
  };
  return createAdapter(client, await redisClient(path));
}

async function redisClient(path) {
  const { createClient } = require('redis');
  const client = createClient({ socket: { path } });
  client.on('error', (error) => report('redis_error', { message: error.message }));
  await client.connect();
  return client;
}

function watch(socket, counts) {
  counts.connections += 1;
  socket.conn.on('upgrade', () => {
    counts.upgrades += 1;
  });
  socket.on('disconnect', (reason) => {
    counts.disconnects += 1;
    report('disconnect', { id: socket.id, reason });
  });
}

module.exports = { startSocketIo };
