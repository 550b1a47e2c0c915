'use strict';
/**
 * Node's own HTTP/2 client: a session that begins by polling and is upgraded, and others next to it, all
 * on one connection by prior knowledge. WebSockets are extended CONNECTs (RFC 8441).
 */

const http2 = require('node:http2');
const { once } = require('node:events');
const { Receiver, Sender } = require('ws');
const { ANSWER_MS, within } = require('../lib/deadline');
const { PACKET, decodePayload } = require('../lib/engineio');
const { RAW_PATH } = require('../lib/echo_websocket');

module.exports = async function http2Scenario(options, verdict) {
  const connection = http2.connect(options.url[0]);
  let goaways = 0;
  connection.on('goaway', () => (goaways += 1));
  const [settings] = await within(ANSWER_MS, 'SETTINGS', once(connection, 'remoteSettings'));
  verdict.equal(settings.enableConnectProtocol, true, 'SETTINGS_ENABLE_CONNECT_PROTOCOL');

  const client = new Client(connection, options.path);
  await upgraded(client, verdict);
  await direct(client, verdict);
  await ends(client, verdict);
  await refused(client, verdict);
  verdict.equal(goaways, 0, 'GOAWAY frames while the connection was in use');
  verdict.equal(connection.destroyed, false, 'whether the connection was destroyed');
  connection.close();
};

/** A session by polling that moves to a WebSocket, while another one polls. */
async function upgraded(client, verdict) {
  const other = await client.open();
  const pending = client.get(other);
  const sid = await client.open();
  await client.post(sid, `${PACKET.message}20["echo","by polling"]`);
  verdict.expect((await client.get(sid)).includes('by polling'), 'no echo by polling');

  const poll = client.get(sid);
  const socket = await client.websocket(`${client.path}?EIO=4&transport=websocket&sid=${sid}`);
  socket.send('2probe');
  verdict.equal(await socket.next(), '3probe', 'answer to the probe');
  verdict.equal(await poll, PACKET.noop, 'answer to the poll that was pending');
  socket.send('5');
  await echoes(socket, verdict);
  await socket.close();

  await client.post(other, `${PACKET.message}21["echo","still polling"]`);
  verdict.expect((await pending).includes('still polling'), 'the other session lost its poll');
}

/** Sessions that begin with a WebSocket, at the same time. */
async function direct(client, verdict) {
  const sockets = await Promise.all(Array.from({ length: 10 }, async () => {
    const socket = await client.websocket(`${client.path}?EIO=4&transport=websocket`);
    verdict.equal((await socket.next())[0], PACKET.open, 'first packet');
    socket.send('40');
    verdict.expect((await socket.next()).startsWith('40'), 'no CONNECT packet');
    return socket;
  }));
  await Promise.all(sockets.map((socket) => echoes(socket, verdict)));
  await Promise.all(sockets.map((socket) => socket.close()));
}

/** What `close`, END_STREAM and RST_STREAM of the client do. */
async function ends(client, verdict) {
  const [half, reset] = [await client.websocket(RAW_PATH), await client.websocket(RAW_PATH)];
  half.stream.end();
  await within(ANSWER_MS, 'END_STREAM', once(half.stream, 'close'));
  verdict.equal(half.stream.rstCode, http2.constants.NGHTTP2_NO_ERROR, 'code of a half-closed stream');
  reset.stream.close(http2.constants.NGHTTP2_CANCEL);
  await within(ANSWER_MS, 'end of the reset stream', once(reset.stream, 'close'));

  const closed = await client.websocket(RAW_PATH);
  closed.send('please close 4002');
  const [code] = await within(ANSWER_MS, 'Close frame', once(closed.receiver, 'conclude'));
  verdict.equal(code, 4002, 'close code of the server');
  closed.stream.end();
}

async function refused(client, verdict) {
  const websocket = { ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http' };
  const unknown = `${client.path}?EIO=4&transport=websocket&sid=unknown`;
  const version = { 'sec-websocket-version': '13' };
  for (const [head, status] of [
    [{ ...websocket, ':path': unknown, ...version }, 400],
    [{ ...websocket, ':protocol': 'connect-udp', ':path': '/' }, 501],
    [{ ':method': 'CONNECT', ':authority': 'example.com:443' }, 501],
  ]) {
    const stream = client.connection.request(head, { endStream: false });
    const [answer] = await within(ANSWER_MS, 'response', once(stream, 'response'));
    verdict.equal(answer[':status'], status, `status of ${JSON.stringify(head)}`);
    stream.close();
  }
}

async function echoes(socket, verdict) {
  for (const text of ['one', 'h\u00e9llo', 'x'.repeat(200_000), 'last']) {
    socket.send(`427${JSON.stringify(['echo', text])}`);
    verdict.equal(await socket.next(), `437${JSON.stringify([text])}`, `echo of ${text.length} characters`);
  }
}

/** Requests on one connection. */
class Client {
  constructor(connection, path) {
    Object.assign(this, { connection, path });
  }

  async open() {
    const [packet] = decodePayload(4, await this.ask({ ':path': this.target() }));
    const { sid } = JSON.parse(packet.slice(1));
    await this.post(sid, '40');
    const answer = await this.get(sid);
    if (!answer.startsWith('40')) throw new Error(`a CONNECT was answered '${answer}'`);
    return sid;
  }

  get(sid) {
    return this.ask({ ':path': this.target(sid) });
  }

  async post(sid, packet) {
    const answer = await this.ask({ ':method': 'POST', ':path': this.target(sid) }, packet);
    if (answer !== 'ok') throw new Error(`a POST was answered '${answer}'`);
  }

  target(sid) {
    return `${this.path}?EIO=4&transport=polling${sid ? `&sid=${sid}` : ''}`;
  }

  async ask(head, body) {
    const stream = this.connection.request(head);
    stream.end(body);
    const answered = once(stream, 'response');
    const chunks = [];
    stream.on('data', (chunk) => chunks.push(chunk));
    const [answer] = await within(POLL_MS, 'response', answered);
    await within(ANSWER_MS, 'body', stream.readableEnded ? [] : once(stream, 'end'));
    const text = Buffer.concat(chunks).toString('utf8');
    if (answer[':status'] !== 200) throw new Error(`${answer[':status']} '${text}'`);
    return text;
  }

  async websocket(path) {
    const stream = this.connection.request({
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':scheme': 'http',
      ':path': path,
      'sec-websocket-version': '13',
    });
    const [answer] = await within(ANSWER_MS, 'response', once(stream, 'response'));
    if (answer[':status'] !== 200) throw new Error(`a WebSocket was answered ${answer[':status']}`);
    for (const name of ['sec-websocket-accept', 'sec-websocket-key', 'connection', 'upgrade']) {
      if (answer[name] !== undefined) throw new Error(`the response has ${name}`);
    }
    return new Socket(stream);
  }
}

/** A WebSocket in a stream, by the codec of `ws`. */
class Socket {
  constructor(stream) {
    this.stream = stream;
    this.sender = new Sender(stream, {});
    this.receiver = new Receiver({ isServer: false });
    this.messages = [];
    this.receiver.on('message', (data) => {
      this.messages.push(data.toString());
      this.wake?.();
    });
    stream.pipe(this.receiver);
  }

  send(text) {
    this.sender.send(text, { fin: true, mask: true, binary: false, compress: false, opcode: 1 });
  }

  async next() {
    while (this.messages.length === 0) {
      await within(ANSWER_MS, 'message', new Promise((resolve) => (this.wake = resolve)));
    }
    return this.messages.shift();
  }

  async close() {
    const concluded = once(this.receiver, 'conclude');
    this.sender.close(1000, '', true);
    await within(ANSWER_MS, 'Close frame', concluded);
    this.stream.end();
    await within(ANSWER_MS, 'end of the stream', once(this.stream, 'close'));
  }
}

/** An idle poll lasts until the server's next ping. */
const POLL_MS = ANSWER_MS + 30_000;
