'use strict';
/** What arrived for one event of a socket, and a wait for how much. */

const { ANSWER_MS, within } = require('./deadline');

class Inbox {
  /** Listens for `event` on `socket` from now on. */
  constructor(socket, event) {
    this.items = [];
    this.arrived = () => {};
    socket.on(event, (item) => {
      this.items.push(item);
      this.arrived();
    });
  }

  /** Resolves when `count` items are there; if they do not come, the failure tells how many did. */
  async holds(count) {
    const complete = new Promise((resolve) => {
      this.arrived = () => {
        if (this.items.length >= count) resolve();
      };
      this.arrived();
    });
    await within(ANSWER_MS, `${count} messages`, complete).catch((late) => {
      throw new Error(`${late.message}, but ${this.items.length}`);
    });
  }
}

module.exports = { Inbox };
