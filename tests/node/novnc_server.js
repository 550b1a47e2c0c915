'use strict';
/**
 * A desktop for noVNC: its page and modules, and at `/websockify` a WebSocket that speaks RFB 3.8 (RFC 6143), with
 * a screen of one colour and a bell for each key. All paths are relative to the page. Prints a ready line, and the
 * keys that it gets. A closed stdin ends it.
 */

const fs = require('node:fs');
const { createServer } = require('node:http');
const path = require('node:path');
const { WebSocketServer } = require('ws');
const { onStdinClosed } = require('./lib/lifetime');
const { report } = require('./lib/report');

const NOVNC = path.join(__dirname, 'node_modules/@novnc/novnc');
const [WIDTH, HEIGHT] = [64, 48];
const NAME = 'a desktop';

const PAGE = `<!doctype html><link rel="icon" href="data:,"><div id="screen"></div><script type="module">
import RFB from './core/rfb.js';
const url = new URL('websockify', location.href.replace('http', 'ws'));
window.seen = [];
const rfb = new RFB(document.getElementById('screen'), url.href);
rfb.addEventListener('connect', () => window.seen.push('connect'));
rfb.addEventListener('disconnect', () => window.seen.push('disconnect'));
rfb.addEventListener('desktopname', (event) => window.seen.push(event.detail.name));
rfb.addEventListener('bell', () => window.seen.push('bell'));
window.press = () => rfb.sendKey(0x61, 'KeyA');
</script>`;

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://novnc');
  if (pathname === '/') {
    response.setHeader('Content-Type', 'text/html');
    return response.end(PAGE);
  }
  const file = path.join(NOVNC, pathname);
  if (!/^\/(core|vendor)\/[\w/.-]+\.js$/.test(pathname) || !fs.existsSync(file)) {
    response.statusCode = 404;
    return response.end();
  }
  response.setHeader('Content-Type', 'text/javascript');
  response.end(fs.readFileSync(file));
});

new WebSocketServer({ server, path: '/websockify' }).on('connection', (socket) => {
  let received = Buffer.alloc(0);
  let step = greeted;
  socket.on('message', (data) => {
    received = Buffer.concat([received, data]);
    for (let used = step(); used > 0; used = step()) received = received.subarray(used);
  });
  socket.send(Buffer.from('RFB 003.008\n'));

  // Each step gives how many bytes it has used; 0 if it waits for more.
  function greeted() {
    if (received.length < 12) return 0;
    socket.send(Buffer.from([1, 1]));
    step = secured;
    return 12;
  }

  function secured() {
    if (received.length < 1) return 0;
    socket.send(Buffer.alloc(4));
    step = begun;
    return 1;
  }

  function begun() {
    if (received.length < 1) return 0;
    const head = Buffer.alloc(24);
    head.writeUInt16BE(WIDTH, 0);
    head.writeUInt16BE(HEIGHT, 2);
    // 32 bits, depth 24, true colour, with red at bit 0.
    head.set([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16], 4);
    head.writeUInt32BE(NAME.length, 20);
    socket.send(Buffer.concat([head, Buffer.from(NAME)]));
    step = message;
    return 1;
  }

  function message() {
    const length = lengthOf(received);
    if (length === 0 || received.length < length) return 0;
    if (received[0] === UPDATE_REQUEST && received[1] === 0) socket.send(screen());
    if (received[0] === KEY && received[1] === 1) {
      report('key', { key: received.readUInt32BE(4) });
      socket.send(Buffer.from([BELL]));
    }
    return length;
  }
});

const [UPDATE_REQUEST, KEY, BELL] = [3, 4, 2];

/** How long the message at the beginning is; 0 if that is not known yet (RFC 6143, section 7.5). */
function lengthOf(received) {
  if (received.length < 4) return 0;
  if (received[0] === 2) return 4 + 4 * received.readUInt16BE(2);
  if (received[0] === 6) return received.length < 8 ? 0 : 8 + received.readUInt32BE(4);
  return { 0: 20, [UPDATE_REQUEST]: 10, [KEY]: 8, 5: 6 }[received[0]];
}

/** The whole screen in one colour, not encoded. */
function screen() {
  const head = Buffer.alloc(16);
  head.writeUInt16BE(1, 2);
  head.writeUInt16BE(WIDTH, 8);
  head.writeUInt16BE(HEIGHT, 10);
  return Buffer.concat([head, Buffer.alloc(4 * WIDTH * HEIGHT, Buffer.from([10, 200, 30, 255]))]);
}

server.listen(0, '127.0.0.1', () => report('ready', { port: server.address().port }));
onStdinClosed(() => process.exit());
