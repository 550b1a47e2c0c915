'use strict';
/**
 * Numbered messages both ways at once, begun before the upgrade so that it falls among them:
 * all arrive, once, in order.
 */

const { Client } = require('../lib/socketio_client');
const { nextTurn } = require('../lib/deadline');
const { Inbox } = require('../lib/inbox');
const { expectRising, expectSame } = require('../lib/compare_sequences');

module.exports = async function ordered(options, verdict) {
  const count = options.messages ?? 1_000;
  const sent = Array.from({ length: count }, (_, index) => index + 1);
  const client = await Client.connect(options.url[0], options);

  const received = new Inbox(client.socket, 'number');
  client.socket.emit('numbers', count);
  for (const number of sent) {
    client.socket.emit('collect', number);
    if (number % GROUP === 0) await nextTurn();
  }
  // Asked last, so it is answered behind all the numbers that we sent.
  const collected = await client.call('collected');
  await received.holds(count, options.patience).catch((late) => verdict.fail(late.message));

  for (const [numbers, way] of [[collected, 'to the node'], [received.items, 'to the client']]) {
    expectSame(verdict, numbers, sent, `numbers ${way}`);
    expectRising(verdict, numbers, `numbers ${way}`);
  }
  verdict.equal(client.disconnects, [], 'disconnects');
  verdict.facts.transport = client.transport;
  client.close();
};

const GROUP = 20;
