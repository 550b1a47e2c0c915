'use strict';
/**
 * Which clients connect again after each end that a proxy may give them: a server that ends every
 * client's first connection with a Close frame of this code, or without one.
 */

const { createServer } = require('node:http');
const { once } = require('node:events');
const { WebSocket, WebSocketServer } = require('ws');
const { createClient } = require('graphql-ws');
const { default: ReconnectingWebSocket } = require('partysocket/ws');
const { HubConnectionBuilder, HttpTransportType, LogLevel } = require('@microsoft/signalr');
const { Socket: PhoenixSocket } = require('phoenix');
const { io } = require('socket.io-client');
const { within } = require('../lib/deadline');

module.exports = async function comeback(_, verdict) {
  const table = {};
  for (const [end, expected] of Object.entries(ENDS)) {
    const names = Object.keys(CLIENTS);
    const back = await Promise.all(names.map((name) => comesBack(CLIENTS[name], end)));
    table[end] = names.filter((_name, index) => back[index]);
    verdict.equal(table[end], expected, `who comes back after ${end}`);
  }
  verdict.facts.table = table;
};

/** Whether a client whose first connection ends like this connects again. */
async function comesBack({ start, answer }, end) {
  const server = createServer();
  const sockets = new WebSocketServer({ server, handleProtocols: (offered) => [...offered][0] ?? false });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  let connections = 0;
  const again = new Promise((resolve) => {
    sockets.on('connection', (socket) => {
      connections += 1;
      const isFirst = connections === 1;
      const answered = () => (isFirst ? setTimeout(() => finish(socket, end), OPEN_MS) : resolve(true));
      socket.on('message', (message) => answer(socket, message.toString()) && answered());
      if (answer(socket, null)) answered();
    });
  });
  const stop = start(`127.0.0.1:${server.address().port}`);
  const came = await within(PATIENCE_MS, 'return', again).catch(() => false);
  stop();
  server.close();
  return came;
}

function finish(socket, end) {
  if (end === 'fin') socket._socket.end();
  else socket.close(Number(end));
}

/** How each client is started and stopped, and when it is connected in its own protocol. */
const CLIENTS = {
  'graphql-ws': {
    start(host) {
      const client = createClient({
        url: `ws://${host}/`,
        webSocketImpl: WebSocket,
        retryWait: () => Promise.resolve(),
      });
      const ignore = () => {};
      client.subscribe({ query: 'subscription { a }' }, { next: ignore, error: ignore, complete: ignore });
      return () => client.dispose();
    },
    answer(socket, message) {
      if (!message?.includes('connection_init')) return false;
      socket.send('{"type":"connection_ack"}');
      return true;
    },
  },
  partysocket: {
    start(host) {
      const options = { WebSocket, minReconnectionDelay: 1, maxReconnectionDelay: 10, minUptime: 1 };
      const socket = new ReconnectingWebSocket(`ws://${host}/`, [], options);
      return () => socket.close();
    },
    answer: (_, message) => message === null,
  },
  SignalR: {
    start(host) {
      const connection = new HubConnectionBuilder()
        .withUrl(`http://${host}/`, { skipNegotiation: true, transport: HttpTransportType.WebSockets, WebSocket })
        .withAutomaticReconnect([0, 1, 1])
        .configureLogging(LogLevel.None)
        .build();
      connection.start().catch(() => {});
      return () => connection.stop().catch(() => {});
    },
    answer(socket, message) {
      if (message === null) return false;
      socket.send('{}\u001e');
      return true;
    },
  },
  Phoenix: {
    start(host) {
      const socket = new PhoenixSocket(`ws://${host}/socket`, { transport: WebSocket, reconnectAfterMs: () => 10 });
      socket.connect();
      return () => socket.disconnect();
    },
    answer: (_, message) => message === null,
  },
  'Socket.IO': {
    start(host) {
      const socket = io(`http://${host}`, { transports: ['websocket'], reconnectionDelay: 10, forceNew: true });
      return () => socket.disconnect();
    },
    answer(socket, message) {
      if (message === null) {
        socket.send('0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}');
        return false;
      }
      socket.send('40{"sid":"b"}');
      return true;
    },
  },
};

const ALL = Object.keys(CLIENTS);

/** Each end that the manual lists, and those that come back. 1011 is here to show why no end has it. */
const ENDS = {
  fin: ALL,
  1001: ALL,
  1012: ALL,
  1011: ALL.filter((name) => name !== 'graphql-ws'),
};

/** For so long the first connection is open, so that its client knows. */
const OPEN_MS = 100;
const PATIENCE_MS = 3_000;
