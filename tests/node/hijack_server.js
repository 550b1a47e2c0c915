'use strict';
/**
 * A node that hijacks connections as the Docker daemon does: a POST with a body and `Upgrade: tcp` becomes a
 * stream of bytes. It sends back the body and what follows, and after the client's end how many bytes these
 * were. Prints a ready line. A closed stdin ends it.
 */

const { createServer } = require('node:http');
const { onStdinClosed } = require('./lib/lifetime');
const { report } = require('./lib/report');

const server = createServer((request, response) => {
  response.end(`plain ${request.method}, upgrade ${request.headers.upgrade ?? 'none'}`);
});

server.on('upgrade', (request, socket, head) => {
  socket.on('error', () => socket.destroy());
  // Node.js leaves the body to the one who hijacks.
  let awaited = Number(request.headers['content-length'] ?? 0);
  let body = '';
  let bytes = 0;
  let switched = false;
  const take = (chunk) => {
    const part = chunk.subarray(0, awaited);
    awaited -= part.length;
    body += part;
    const rest = chunk.subarray(part.length);
    if (awaited === 0 && !switched) {
      socket.write(`${SWITCHING}${body}\n`);
      switched = true;
    }
    bytes += rest.length;
    if (rest.length > 0 && !socket.write(rest)) {
      socket.pause();
      socket.once('drain', () => socket.resume());
    }
  };
  take(head);
  socket.on('data', take);
  socket.on('end', () => socket.end(`\n${bytes} bytes`));
});

const SWITCHING = [
  'HTTP/1.1 101 UPGRADED',
  'Content-Type: application/vnd.docker.raw-stream',
  'Connection: Upgrade',
  'Upgrade: tcp',
  '\r\n',
].join('\r\n');

server.listen(0, '127.0.0.1', () => report('ready', { port: server.address().port }));
onStdinClosed(() => process.exit());
