'use strict';
/**
 * Clients that stay until stdin is closed while the test reloads, drains or kills things around them.
 * Each connect and disconnect is a line; `ready` comes when all are connected for the first time.
 * Holds when all are connected at the end. Give a `--deadline` that is longer than the test.
 */

const { Client } = require('../lib/socketio_client');
const { ANSWER_MS, within } = require('../lib/deadline');
const { onStdinClosed } = require('../lib/lifetime');
const { report } = require('../lib/report');

module.exports = async function survive(options, verdict) {
  const end = new Promise(onStdinClosed);
  const clients = Array.from({ length: options.clients ?? 20 }, (_, index) => stay(index, options));
  await within(ANSWER_MS, 'first connection for all', Promise.all(clients.map(({ first }) => first)));
  report('ready', { ready: true, clients: clients.length, pid: process.pid });
  await end;

  for (const { client, index } of clients) {
    verdict.expect(client.socket.connected, `client ${index} is not connected at the end`);
  }
  verdict.facts.clients = clients.length;
  verdict.facts.disconnects = clients.reduce((sum, { client }) => sum + client.disconnects.length, 0);
};

function stay(index, options) {
  const client = new Client(options.url[index % options.url.length], { ...options, reconnection: true });
  const { socket } = client;
  socket.on('disconnect', (reason) => report('disconnect', { client: index, at: Date.now(), reason }));
  const first = new Promise((resolve) => {
    socket.on('connect', async () => {
      const at = Date.now();
      // An answer may never come when the node dies now: then the next connect tells.
      const seen = await client.call('whoami').catch(() => null);
      if (seen === null) return;
      report('connect', { client: index, at, node: seen.node, id: socket.id });
      resolve();
    });
  });
  return { client, index, first };
}
