'use strict';
/** Socket.IO clients that send and hear until they are stopped, and come back when they are ended. */

const { io } = require('socket.io-client');

const { ANSWER_MS, within } = require('./deadline');

class Talkers {
  /** So many clients at `url`, all connected by WebSocket. */
  static async start(url, count) {
    const talkers = new Talkers();
    for (let number = 0; number < count; number += 1) talkers.add(url);
    await within(ANSWER_MS, 'connection of all clients', Promise.all(talkers.connected));
    talkers.timer = setInterval(() => talkers.talk(), TALK_EVERY_MS);
    return talkers;
  }

  constructor() {
    this.sockets = [];
    this.connected = [];
    this.disconnects = 0;
    this.waiting = [];
  }

  add(url) {
    const socket = io(url, { transports: ['websocket'], forceNew: true, reconnectionDelay: 50 });
    this.connected.push(new Promise((resolve) => { socket.once('connect', resolve); }));
    socket.on('disconnect', () => {
      this.disconnects += 1;
      this.waiting.forEach((check) => check());
    });
    this.sockets.push(socket);
  }

  talk() {
    for (const socket of this.sockets) if (socket.connected) socket.emit('echo', 'hello', () => {});
  }

  /** Until so many connections were lost. */
  untilDisconnects(count) {
    const lost = new Promise((resolve) => {
      const check = () => this.disconnects >= count && resolve();
      this.waiting.push(check);
      check();
    });
    return within(ANSWER_MS, 'disconnect', lost);
  }

  stop() {
    clearInterval(this.timer);
    for (const socket of this.sockets) socket.close();
  }
}

const TALK_EVERY_MS = 100;

module.exports = { Talkers };
