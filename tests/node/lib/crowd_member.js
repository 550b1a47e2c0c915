'use strict';
/**
 * One client of a crowd: it sends an echo every now and then, listens to a room, returns with its own
 * backoff when it is cut off, and tells what it sees.
 */

const { Agent } = require('node:http');

const { Client } = require('./socketio_client');
const { report } = require('./report');
const { Row } = require('./row');

class CrowdMember {
  /** Begins to connect. */
  constructor(index, options) {
    this.index = index;
    this.options = options;
    this.figures = { echoes: 0, gone: 0, refused: 0, messages: 0, gaps: 0, overtaken: 0, slowest_echo_ms: 0 };
    /** The node of the session, once it has said so. */
    this.node = null;
    this.row = new Row();
    /** When the echo was sent whose answer is awaited. */
    this.sent = null;
    const transports = TRANSPORTS[index % TRANSPORTS.length];
    this.transport = transports.join('+');
    // Browsers keep connections; a client on Node.js would open one for each request.
    const agent = new Agent({ keepAlive: true });
    const url = options.url[index % options.url.length];
    this.socket = new Client(url, { ...options, transports, agent, reconnection: true }).socket;
    /** Resolves when it knows its first node. */
    this.first = new Promise((resolve) => {
      this.told = resolve;
    });
    this.outage = null;
    this.watch();
  }

  watch() {
    const { socket } = this;
    socket.on('connect', () => this.connected());
    socket.on('disconnect', (reason) => this.disconnected(reason));
    socket.on('connect_error', (error) => {
      this.figures.refused += 1;
      this.outage?.failed();
      report('refused', { client: this.index, at: Date.now(), reason: error.message, status: error.description });
    });
    socket.io.on('reconnect_attempt', () => this.outage?.attempted());
    socket.on('row', (number, times) => this.heard(number, times));
    // Not all in the same moment.
    const { pace } = this.options;
    setTimeout(() => {
      this.timer = setInterval(() => this.echo(), pace);
    }, Math.random() * pace);
  }

  connected() {
    const { socket, index, transport } = this;
    const { recovered } = socket;
    if (this.outage !== null) {
      this.row.goOn(this.outage.attemptedAt, Date.now());
      report('back', { client: index, at: Date.now(), transport, recovered, ...this.outage.over() });
      this.outage = null;
    }
    if (!recovered) {
      this.row.begin();
      socket.emit('join', 'rows', () => {});
    }
    socket.emit('whoami', ({ node }) => {
      this.node = node;
      report('on', { client: index, at: Date.now(), node });
      this.told();
    });
  }

  disconnected(reason) {
    this.figures.gone += 1;
    this.outage = new Outage(() => this.stalled());
    // Its answer is lost, which is no delay.
    this.sent = null;
    report('gone', { client: this.index, at: Date.now(), node: this.node, reason });
    this.node = null;
  }

  /** Tells how far an attempt has come that takes long. */
  stalled() {
    const { engine } = this.socket.io;
    const { id: sid, readyState: state } = engine;
    const { name, readyState, polling } = engine.transport;
    const port = engine.transport.ws?._socket?.localPort;
    const transport = { name, state: readyState, polling, port };
    report('stalled', { client: this.index, at: Date.now(), sid, state, transport });
  }

  heard(number, times) {
    this.figures.messages += 1;
    // What was missed is told before `connect` is.
    if (this.outage !== null) this.row.goOn(this.outage.attemptedAt, Date.now());
    const gap = this.row.heard(number, times);
    if (gap === null) return;
    this.figures[gap.restoring ? 'overtaken' : 'gaps'] += 1;
    report('gap', { client: this.index, at: Date.now(), ...gap, recovered: this.socket.recovered });
  }

  /** One at a time: an echo that waits is a stall, and another would only wait behind it. */
  echo() {
    if (!this.socket.connected || this.sent !== null) return;
    const sent = performance.now();
    this.sent = sent;
    this.socket.emit('echo', sent, () => {
      if (this.sent !== sent) return;
      this.figures.echoes += 1;
      this.answered();
    });
  }

  answered() {
    const milliseconds = Math.round(performance.now() - this.sent);
    this.sent = null;
    this.figures.slowest_echo_ms = Math.max(this.figures.slowest_echo_ms, milliseconds);
    if (milliseconds < SLOW_MS) return;
    report('slow', { client: this.index, at: Date.now(), node: this.node, milliseconds });
  }

  /** Says no more; an answer that is still awaited counts for as long as it was. */
  finish() {
    clearInterval(this.timer);
    if (this.sent !== null) this.answered();
  }
}

/** From a disconnect to the next connect: how long, and how much of it was the client's own backoff. */
class Outage {
  constructor(stalled) {
    /** Is called when an attempt takes long. */
    this.stalled = stalled;
    this.began = performance.now();
    this.waitingSince = this.began;
    this.waited = 0;
    /** When the last attempt began, in milliseconds since 1970. */
    this.attemptedAt = Date.now();
  }

  /** The backoff is over. */
  attempted() {
    this.waited += performance.now() - this.waitingSince;
    this.waitingSince = null;
    this.attemptedAt = Date.now();
    clearTimeout(this.timer);
    this.timer = setTimeout(this.stalled, STALLED_MS);
  }

  /** The attempt failed, and the next backoff begins. */
  failed() {
    clearTimeout(this.timer);
    this.waitingSince ??= performance.now();
  }

  over() {
    clearTimeout(this.timer);
    const down = performance.now() - this.began;
    return { down_ms: Math.round(down), waited_ms: Math.round(this.waited) };
  }
}

const TRANSPORTS = [['polling'], ['polling', 'websocket'], ['websocket']];

/** A handshake takes a few milliseconds; a client gives it up after 20 s. */
const STALLED_MS = 3_000;

/** Echoes take a few milliseconds. */
const SLOW_MS = 500;

module.exports = { CrowdMember };
