'use strict';
/**
 * Which client libraries connect again after an end: one client of each library at each URL, whose last
 * segment names the end. `ready` comes when all are connected for the first time; the test or the proxy ends
 * their connections then. Always holds: the `table` has for each end the codes that clients saw, and the
 * libraries that came back.
 */

const { WebSocket } = require('ws');
const { createClient } = require('graphql-ws');
const { default: ReconnectingWebSocket } = require('partysocket/ws');
const { HubConnectionBuilder, HttpTransportType, LogLevel } = require('@microsoft/signalr');
const { Socket: PhoenixSocket } = require('phoenix');
const { io } = require('socket.io-client');
const { ANSWER_MS, within } = require('../lib/deadline');
const { report } = require('../lib/report');

module.exports = async function comeback(options, verdict) {
  const clients = options.url.flatMap((url) => Object.keys(LIBRARIES).map((library) => follow(url, library)));
  await within(ANSWER_MS, 'first connection for all', Promise.all(clients.map(({ opened }) => opened)));
  report('ready', { ready: true, clients: clients.length });

  const table = {};
  for (const { end, library, codes, returned } of clients) {
    const row = (table[end] ??= { codes: [], back: [] });
    if (await returned) row.back.push(library);
    row.codes = [...new Set([...row.codes, ...codes])];
  }
  verdict.facts.table = table;
};

/** Starts a client and tells of its first connection, of the code of the first end, and of its return. */
function follow(url, library) {
  const codes = [];
  let opens = 0;
  let tell;
  const opened = new Promise((resolve) => {
    tell = resolve;
  });
  const returned = new Promise((resolve) => {
    const onOpen = () => {
      opens += 1;
      tell();
      if (opens === 2) resolve(true);
    };
    const onClose = (code) => {
      if (opens !== 1) return;
      codes.push(code);
      setTimeout(() => resolve(false), PATIENCE_MS);
    };
    LIBRARIES[library](`${url}/${library}`, onOpen, onClose);
  });
  return { end: url.split('/').at(-1), library, codes, opened, returned };
}

/** How a client of each library is started. */
const LIBRARIES = {
  'graphql-ws'(url, onOpen, onClose) {
    const client = createClient({
      url: webSocketUrl(url),
      webSocketImpl: WebSocket,
      retryWait: () => Promise.resolve(),
      on: { connected: onOpen, closed: ({ code }) => onClose(code) },
    });
    const ignore = () => {};
    client.subscribe({ query: 'subscription { a }' }, { next: ignore, error: ignore, complete: ignore });
  },
  partysocket(url, onOpen, onClose) {
    const options = { WebSocket, minReconnectionDelay: 1, maxReconnectionDelay: 10, minUptime: 1 };
    const socket = new ReconnectingWebSocket(webSocketUrl(url), [], options);
    socket.addEventListener('open', onOpen);
    socket.addEventListener('close', ({ code }) => onClose(code));
  },
  SignalR(url, onOpen, onClose) {
    // It tells its application no code.
    class Coded extends WebSocket {
      constructor(...given) {
        super(...given);
        this.on('close', onClose);
      }
    }
    const connection = new HubConnectionBuilder()
      .withUrl(url, { skipNegotiation: true, transport: HttpTransportType.WebSockets, WebSocket: Coded })
      .withAutomaticReconnect([0, 1, 1])
      .configureLogging(LogLevel.None)
      .build();
    connection.onreconnected(onOpen);
    connection.start().then(onOpen, () => {});
  },
  Phoenix(url, onOpen, onClose) {
    const socket = new PhoenixSocket(webSocketUrl(url), { transport: WebSocket, reconnectAfterMs: () => 10 });
    socket.onOpen(onOpen);
    socket.onClose(({ code }) => onClose(code));
    socket.connect();
  },
  'Socket.IO'(url, onOpen, onClose) {
    const { origin, pathname } = new URL(url);
    const options = { path: `${pathname}/`, transports: ['websocket'], reconnectionDelay: 10, forceNew: true };
    const socket = io(origin, options);
    socket.on('connect', onOpen);
    socket.on('disconnect', (_, details) => onClose(details?.context?.code));
  },
};

const webSocketUrl = (url) => url.replace('http:', 'ws:');

/** A library that has not come back so long after its end does not. */
const PATIENCE_MS = 3_000;
