'use strict';
/**
 * A plain WebSocket with permessage-deflate: messages below and above the threshold, fragmented both
 * ways, and close codes both ways.
 */

const { randomBytes } = require('node:crypto');
const { once } = require('node:events');
const WebSocket = require('ws');
const { ANSWER_MS, within } = require('../lib/deadline');
const { RAW_PATH } = require('../lib/echo_websocket');

module.exports = async function deflate(options, verdict) {
  const url = new URL(RAW_PATH, options.url[0]);
  const socket = await open(url);
  verdict.expect(socket.extensions.includes('permessage-deflate'), 'permessage-deflate was not agreed on');

  for (const [name, message] of Object.entries(messages())) {
    socket.send(message);
    verdict.expect(Buffer.from(message).equals(await next(socket)), `${name} came back changed`);
  }
  await fragments(socket, verdict);
  await pings(socket, verdict);

  socket.send(`please close ${FROM_SERVER}`);
  verdict.equal(await closed(socket), FROM_SERVER, 'close code from the server');

  const other = await open(url);
  other.close(FROM_CLIENT);
  verdict.equal(await closed(other), FROM_CLIENT, 'close code from the client, sent back');
  verdict.facts.extensions = socket.extensions;
};

function messages() {
  return {
    'an empty text': '',
    'a short text': 'sockeye',
    'a long text': 'salmon swim upstream; '.repeat(10_000),
    'a long binary that does not compress': randomBytes(300_000),
    'a binary of one byte': Buffer.from([0]),
  };
}

async function fragments(socket, verdict) {
  for (const part of ['one ', 'two '.repeat(5_000), 'three ']) socket.send(part, { fin: false });
  socket.send('four', { fin: true });
  const whole = `one ${'two '.repeat(5_000)}three four`;
  verdict.equal((await next(socket)).toString(), whole, 'fragments to the server');

  socket.send(`please fragment ${FRAGMENTED}`);
  verdict.equal((await next(socket)).length, FRAGMENTED, 'length of fragments from the server');
}

async function pings(socket, verdict) {
  socket.ping('are you there');
  const [payload] = await within(ANSWER_MS, 'pong', once(socket, 'pong'));
  verdict.equal(payload.toString(), 'are you there', 'payload of the pong');
}

async function open(url) {
  const socket = new WebSocket(url, { perMessageDeflate: { threshold: THRESHOLD } });
  await within(ANSWER_MS, 'WebSocket', once(socket, 'open'));
  return socket;
}

async function next(socket) {
  const [payload] = await within(ANSWER_MS, 'message', once(socket, 'message'));
  return payload;
}

async function closed(socket) {
  const [code] = await within(ANSWER_MS, 'close', once(socket, 'close'));
  return code;
}

/** Bytes from which we compress. */
const THRESHOLD = 1024;
const FRAGMENTED = 200_000;
const FROM_SERVER = 4002;
const FROM_CLIENT = 4001;
