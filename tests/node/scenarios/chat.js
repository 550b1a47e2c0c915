'use strict';
/**
 * Clients of `examples/chat` each say one thing: all of them hear all of it, whatever node they are on.
 */

const { Client } = require('../lib/socketio_client');
const { Inbox } = require('../lib/inbox');
const { expectSame } = require('../lib/compare_sequences');

module.exports = async function chat(options, verdict) {
  const count = options.clients ?? 6;
  const guests = await Promise.all(
    Array.from({ length: count }, async () => {
      const client = await Client.connect(options.url[0], options);
      return { client, heard: new Inbox(client.socket, 'said') };
    }),
  );

  const texts = guests.map((_, number) => `line ${number}`);
  guests.forEach(({ client }, number) => client.socket.emit('say', texts[number]));
  const complete = guests.map(({ heard }) => heard.holds(count, options.patience));
  await Promise.all(complete).catch((late) => verdict.fail(late.message));

  for (const [number, { client, heard }] of guests.entries()) {
    expectSame(verdict, heard.items.map(({ text }) => text), texts, `lines that guest ${number} heard`);
    verdict.equal(client.disconnects, [], `disconnects of guest ${number}`);
  }
  verdict.facts.nodes = [...new Set(guests[0].heard.items.map(({ node }) => node))].sort();
  for (const { client } of guests) client.close();
};
