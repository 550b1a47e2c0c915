'use strict';
/**
 * An Engine.IO polling session spoken by hand over `node:http`: no cookies, a TCP connection of its own
 * for each request, and the caller chooses for each request where it goes and where it comes from.
 */

const http = require('node:http');
const https = require('node:https');
const { ANSWER_MS, within } = require('./deadline');
const { PACKET, decodePayload, encodePayload, jsonpForm, runJsonp } = require('./engineio');

class PollingSession {
  /**
   * @param {Object} options
   * @param {3|4} options.version of Engine.IO
   * @param {string} options.path such as `/socket.io/`
   * @param {() => {url: string, from?: string}} options.way where the next request goes, and from which address
   * @param {number} [options.jsonp] callback index; leave out for plain polling
   */
  constructor({ version, path, way, jsonp }) {
    Object.assign(this, { version, path, way, jsonp });
    this.sid = undefined;
    this.requests = 0;
    this.nextAck = 0;
    /** Messages that arrived and that nobody has taken. */
    this.messages = [];
  }

  /** Handshake and Socket.IO CONNECT; resolves when the server has answered both. */
  async open() {
    await this.poll();
    if (!this.sid) throw new Error('the handshake held no open packet');
    // An EIO=3 server connects the main namespace by itself.
    if (this.version === 4) await this.send(`${PACKET.message}0`);
    await this.message('0');
  }

  /** Sends an event and gives the arguments of its acknowledgement. */
  async call(event, ...values) {
    const id = this.nextAck++;
    await this.send(`${PACKET.message}2${id}${JSON.stringify([event, ...values])}`);
    return JSON.parse(await this.message(`3${id}`));
  }

  /** Ends the session. */
  async close() {
    await this.send(PACKET.close);
  }

  /** Polls until a message begins with `start`, and gives what follows it. */
  async message(start) {
    for (;;) {
      const at = this.messages.findIndex((message) => message.startsWith(start));
      if (at !== -1) return this.messages.splice(at, 1)[0].slice(start.length);
      await this.poll();
    }
  }

  /** One GET; sorts what came. */
  async poll() {
    const body = await this.ask('GET');
    const payload = this.jsonp === undefined ? body : runJsonp(body, this.jsonp);
    for (const packet of decodePayload(this.version, payload)) await this.take(packet);
  }

  async take(packet) {
    const rest = packet.slice(1);
    switch (packet[0]) {
      case PACKET.open:
        this.sid = JSON.parse(rest).sid;
        break;
      case PACKET.ping:
        await this.send(PACKET.pong + rest);
        break;
      case PACKET.message:
        this.messages.push(rest);
        break;
      case PACKET.close:
        throw new Error('the server closed the session');
      case PACKET.pong:
      case PACKET.noop:
        break;
      default:
        throw new Error(`a packet that does not exist: '${packet.slice(0, 40)}'`);
    }
  }

  /** One POST. */
  async send(packet) {
    const payload = encodePayload(this.version, [packet]);
    const jsonp = this.jsonp !== undefined;
    const body = await this.ask('POST', jsonp ? jsonpForm(payload) : payload);
    // Python's word is OK.
    if (body.toLowerCase() !== 'ok') throw new Error(`a POST was answered '${body.slice(0, 80)}'`);
  }

  /** One exchange over a new connection; any status but 200 is an `AnswerError`. */
  async ask(method, body) {
    const { url, from } = this.way();
    const answer = await exchange(new URL(this.target(), url), {
      method,
      body,
      localAddress: from,
      headers: body === undefined ? {} : { 'Content-Type': this.contentType() },
    });
    this.requests += 1;
    if (answer.status !== 200) throw new AnswerError(method, answer);
    return answer.body;
  }

  target() {
    const query = new URLSearchParams({ EIO: String(this.version), transport: 'polling' });
    if (this.sid) query.set('sid', this.sid);
    if (this.jsonp !== undefined) query.set('j', String(this.jsonp));
    query.set('t', `${Date.now().toString(36)}.${this.requests}`);
    return `${this.path}?${query}`;
  }

  contentType() {
    return this.jsonp === undefined ? 'text/plain;charset=UTF-8' : 'application/x-www-form-urlencoded';
  }
}

/** An answer that ends the session. */
class AnswerError extends Error {
  constructor(method, { status, body }) {
    super(`${method} was answered ${status} '${body.slice(0, 120)}'`);
    /** Whether a node was asked that does not have the session. */
    this.unknownSession = body.includes('Session ID unknown');
  }
}

/** One request over a connection of its own. */
function exchange(url, { method, body, localAddress, headers }) {
  const answered = new Promise((resolve, reject) => {
    const { request: begin } = url.protocol === 'https:' ? https : http;
    const request = begin(url, { method, localAddress, headers, agent: false });
    request.on('error', reject);
    request.on('response', (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        resolve({ status: response.statusCode, body: Buffer.concat(chunks).toString('utf8') });
      });
    });
    request.end(body);
  });
  return within(POLL_MS, `answer to ${method}`, answered);
}

/** An idle poll lasts until the server's next ping. */
const POLL_MS = ANSWER_MS + 30_000;

module.exports = { PollingSession };
