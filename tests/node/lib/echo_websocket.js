'use strict';
/**
 * A plain WebSocket echo next to Socket.IO, with permessage-deflate, at `RAW_PATH`.
 *
 * Two texts are orders: `please fragment N` sends N bytes in three frames, `please close N` closes with code N.
 */

const { WebSocketServer } = require('ws');
const { report } = require('./report');

const RAW_PATH = '/raw';

/**
 * Must be called before Socket.IO takes the HTTP server: that answers upgrades on its own path only,
 * and cuts all others after a second unless something was written to them.
 *
 * @param {import('node:http').Server} httpServer
 * @param {{threshold: number}} options size in bytes from which messages are compressed
 * @returns {import('ws').WebSocketServer}
 */
function serveEcho(httpServer, { threshold }) {
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: { threshold } });
  httpServer.on('upgrade', (request, stream, head) => {
    if (request.url.split('?')[0] !== RAW_PATH) return;
    sockets.handleUpgrade(request, stream, head, echo);
  });
  return sockets;
}

function echo(socket) {
  socket.on('message', (payload, isBinary) => {
    const order = isBinary ? null : ORDER.exec(payload.toString());
    if (order === null) socket.send(payload, { binary: isBinary });
    else obey(socket, order[1], Number(order[2]));
  });
  socket.on('close', (code) => report('raw_closed', { code }));
  socket.on('error', (error) => report('raw_error', { message: error.message }));
}

function obey(socket, verb, number) {
  if (verb === 'close') {
    socket.close(number);
    return;
  }
  const third = Math.ceil(number / 3);
  socket.send('a'.repeat(third), { fin: false });
  socket.send('b'.repeat(third), { fin: false });
  socket.send('c'.repeat(number - 2 * third), { fin: true });
}

const ORDER = /^please (fragment|close) (\d+)$/;

module.exports = { RAW_PATH, serveEcho };
