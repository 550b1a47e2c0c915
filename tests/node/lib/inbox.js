'use strict';
/** What arrived for one event of a socket, and a wait for how much. */

const { within } = require('./deadline');

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

  /**
   * Resolves when `count` items are there; if they do not come within `patience` seconds, the failure
   * tells how many did.
   */
  async holds(count, patience) {
    const complete = new Promise((resolve) => {
      this.arrived = () => {
        if (this.items.length >= count) resolve();
      };
      this.arrived();
    });
    await within(patience * 1_000, `${count} messages`, complete).catch((late) => {
      throw new Error(`${late.message}, but ${this.items.length}`);
    });
  }
}

module.exports = { Inbox };
