'use strict';
/**
 * The three lines of socket.io-client behind one small face. The lines differ in little: a call with a
 * deadline exists only in the newest, so it is made here for all.
 */

const { ANSWER_MS, within } = require('./deadline');

/** Package of each line; loaded only when asked for. */
const PACKAGES = { 4: 'socket.io-client', 3: 'socket.io-client-3', 2: 'socket.io-client-2' };

class Client {
  /**
   * Begins to connect.
   *
   * @param {string} url
   * @param {Object} options `line`, `path`, `transports`; `reconnection` is off unless asked for, so that
   *   a broken session is a failure and not a pause; `agent` of Node.js, or none
   */
  constructor(url, { line, path, transports, agent = false, reconnection = false }) {
    const io = require(PACKAGES[line]);
    this.socket = io(url, { path, transports, agent, reconnection, forceNew: true });
    /** Why each session of this client ended. */
    this.disconnects = [];
    this.socket.on('disconnect', (reason) => this.disconnects.push(reason));
  }

  /** A client whose session stands. */
  static async connect(url, options) {
    const client = new Client(url, options);
    await connected(client.socket);
    return client;
  }

  /** The same session in another namespace. */
  async namespace(name) {
    // Connects by itself; asked again, it would send CONNECT twice, which ends the session.
    const socket = this.socket.io.socket(name);
    await connected(socket);
    return socket;
  }

  /** Emits `event` and gives the acknowledgement's first argument. */
  call(event, ...values) {
    return call(this.socket, event, ...values);
  }

  /** `polling` or `websocket`, now. */
  get transport() {
    return this.socket.io.engine.transport.name;
  }

  /** Resolves when the session travels over a WebSocket. */
  upgraded() {
    const { engine } = this.socket.io;
    if (this.transport === 'websocket') return Promise.resolve();
    return within(ANSWER_MS, 'upgrade', new Promise((resolve) => engine.once('upgrade', resolve)));
  }

  /** Ends the session; it is not counted among the disconnects. */
  close() {
    this.socket.off('disconnect');
    this.socket.close();
    // Another namespace would keep it open.
    this.socket.io.engine.close();
  }
}

/** Emits `event` on any socket and gives the acknowledgement's first argument. */
function call(socket, event, ...values) {
  let lost;
  const acknowledged = new Promise((resolve, reject) => {
    lost = (reason) => reject(new Error(`the session ended before the answer to '${event}': ${reason}`));
    socket.once('disconnect', lost);
    socket.emit(event, ...values, resolve);
  });
  return within(ANSWER_MS, `answer to '${event}'`, acknowledged).finally(() => socket.off('disconnect', lost));
}

/** A socket that begins to connect once, by `transport` alone, with the headers of the command line. */
function openOnce({ line, url, path, headers }, transport) {
  const io = require(PACKAGES[line]);
  const extraHeaders = JSON.parse(headers);
  return io(url[0], {
    path,
    transports: [transport],
    extraHeaders,
    transportOptions: { [transport]: { extraHeaders } },
    reconnection: false,
    forceNew: true,
  });
}

function connected(socket) {
  if (socket.connected) return Promise.resolve();
  const settled = new Promise((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('connect_error', (error) => reject(new Error(`cannot connect: ${words(error)}`)));
  });
  return within(ANSWER_MS, 'connection', settled);
}

/** The status of a refused handshake is in `description`. */
function words(error) {
  const description = error.description?.message ?? error.description;
  return description === undefined ? error.message : `${error.message} (${description})`;
}

module.exports = { Client, call, openOnce };
