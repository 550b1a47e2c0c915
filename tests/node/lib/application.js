'use strict';
/**
 * What the node's sockets answer to, alike in every server line and in `tests/python/server.py`.
 * Each event with an answer is acknowledged by it.
 */

const { nextTurn } = require('./deadline');

/**
 * Gives `socket` its events.
 *
 * @param {Object} socket of either server line
 * @param {string} node our name
 */
function serve(socket, node) {
  const namespace = socket.nsp;
  const collected = [];

  // Anything back, binary too.
  socket.on('echo', (value, answer) => answer(value));

  socket.on('whoami', (answer) => answer(identity(socket, node)));

  // Numbers one way: the client sends, then asks what arrived.
  socket.on('collect', (number) => collected.push(number));
  socket.on('collected', (answer) => answer(collected));

  // Numbers the other way.
  socket.on('numbers', (count) => sendNumbers(socket, count));

  // A megabyte a second until the session ends, whether its client reads or not.
  socket.on('flood', () => flood(socket));

  // Rooms; with an adapter they span nodes.
  socket.on('join', async (room, answer) => {
    await socket.join(room);
    answer(room);
  });
  socket.on('say', ({ room, id }, answer) => {
    namespace.to(room).emit('said', id);
    answer(id);
  });
}

function identity(socket, node) {
  const { headers, address } = socket.handshake;
  return {
    node,
    id: socket.id,
    namespace: socket.nsp.name,
    transport: socket.conn.transport.name,
    address,
    forwarded_for: headers['x-forwarded-for'] ?? null,
  };
}

/** In small groups, so that an upgrade can fall between two of them. */
async function sendNumbers(socket, count) {
  for (let number = 1; number <= count; number++) {
    socket.emit('number', number);
    if (number % GROUP === 0) await nextTurn();
  }
}

function flood(socket) {
  const text = 'x'.repeat(FLOOD_BYTES_PER_SECOND / FLOOD_STEPS_PER_SECOND);
  const timer = setInterval(() => socket.emit('flood', text), 1_000 / FLOOD_STEPS_PER_SECOND);
  socket.on('disconnect', () => clearInterval(timer));
}

const GROUP = 20;
const FLOOD_BYTES_PER_SECOND = 1_000_000;
const FLOOD_STEPS_PER_SECOND = 10;

module.exports = { serve };
