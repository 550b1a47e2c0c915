'use strict';
/**
 * One client does everything that an application does: acknowledgements, binary, large messages,
 * a second namespace, a stream from the server, the upgrade if its transports allow it.
 */

const { Client, call } = require('../lib/socketio_client');
const { Inbox } = require('../lib/inbox');

module.exports = async function basics(options, verdict) {
  const { url, transports } = options;
  const client = await Client.connect(url[0], options);
  await acknowledgements(client, verdict);
  await identity(client.socket, '/', verdict);

  const chat = await client.namespace('/chat');
  await identity(chat, '/chat', verdict);

  if (transports[0] === 'polling' && transports.includes('websocket')) await client.upgraded();
  verdict.equal(client.transport, transports.includes('websocket') ? 'websocket' : 'polling', 'transport');

  await binary(client, verdict);
  await largeMessages(client, verdict);
  await numbers(client, options, verdict);

  const seen = await client.call('whoami');
  verdict.equal(seen.transport, client.transport, 'transport as the node sees it');
  verdict.equal(client.disconnects, [], 'disconnects');
  Object.assign(verdict.facts, {
    node: seen.node,
    transport: client.transport,
    forwarded_for: seen.forwarded_for,
    socket_id: client.socket.id,
    engine_id: client.socket.io.engine.id,
  });
  client.close();
};

async function acknowledgements(client, verdict) {
  for (let number = 1; number <= ROUND_TRIPS; number++) {
    const sent = { number, text: 'h\u00e9llo \u{1F41F}', nested: [null, true, { deep: 'yes' }] };
    verdict.equal(await client.call('echo', sent), sent, `echo ${number}`);
  }
}

/** Both sides must call the session by one name, since applications pass it around. */
async function identity(socket, namespace, verdict) {
  const seen = await call(socket, 'whoami');
  verdict.equal(seen.namespace, namespace, 'namespace');
  verdict.equal(seen.id, socket.id, `socket id in ${namespace}`);
}

async function binary(client, verdict) {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, value) => value));
  const mixed = await client.call('echo', { name: 'all bytes', parts: [bytes, bytes.subarray(0, 1)] });
  verdict.equal(mixed.name, 'all bytes', 'text next to binary');
  verdict.expect(bytes.equals(mixed.parts[0]), 'binary came back changed');
  verdict.equal(mixed.parts[1].length, 1, 'length of the second attachment');
}

async function largeMessages(client, verdict) {
  const text = '0123456789abcdef'.repeat(LARGE_TEXT / 16);
  verdict.expect((await client.call('echo', text)) === text, 'a large text came back changed');
  const bytes = Buffer.alloc(LARGE_BINARY, 'sockeye');
  verdict.expect(bytes.equals(await client.call('echo', bytes)), 'a large binary came back changed');
}

async function numbers(client, { messages: count = 100, patience }, verdict) {
  const received = new Inbox(client.socket, 'number');
  client.socket.emit('numbers', count);
  await received.holds(count, patience);
  verdict.equal(received.items, Array.from({ length: count }, (_, index) => index + 1), 'numbers');
}

const ROUND_TRIPS = 20;
/** Bytes; the servers' limit is 1,000,000 for a message. */
const LARGE_TEXT = 900_000;
/** Bytes; polling writes them in base64, a third longer. */
const LARGE_BINARY = 600_000;
