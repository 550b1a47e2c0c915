'use strict';
/**
 * Many clients over all URLs join one room and speak in turn: each member hears each message once,
 * whatever node the speaker is on.
 */

const { randomUUID } = require('node:crypto');
const { Client } = require('../lib/socketio_client');
const { Inbox } = require('../lib/inbox');
const { expectSame } = require('../lib/compare_sequences');

module.exports = async function rooms(options, verdict) {
  const { url } = options;
  const count = options.messages ?? 200;
  const room = `room-${randomUUID()}`;
  const members = await Promise.all(
    Array.from({ length: options.clients ?? 30 }, (_, index) => enter(url[index % url.length], room, options)),
  );

  const said = [];
  for (let number = 1; number <= count; number++) {
    const speaker = members[number % members.length];
    said.push(await speaker.client.call('say', { room, id: number }));
  }
  const complete = members.map(({ heard }) => heard.holds(count, options.patience));
  await Promise.all(complete).catch((late) => verdict.fail(late.message));

  verdict.facts.members = members.map((member, index) => outcome(member, index, said, verdict));
  verdict.facts.nodes = tally(members.map((member) => member.node));
  for (const { client } of members) client.close();
};

async function enter(url, room, options) {
  const client = await Client.connect(url, options);
  const heard = new Inbox(client.socket, 'said');
  await client.call('join', room);
  const { node } = await client.call('whoami');
  return { client, node, heard };
}

function outcome({ client, node, heard }, index, said, verdict) {
  const { missing, doubled } = expectSame(verdict, heard.items, said, `member ${index} on ${node}`);
  verdict.equal(client.disconnects, [], `disconnects of member ${index} on ${node}`);
  return { node, missing: missing.length, doubled: doubled.length };
}

function tally(names) {
  const counts = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
