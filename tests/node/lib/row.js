'use strict';
/**
 * The numbers that a room is told, as one client hears them: each should be the last and one.
 *
 * A gap is not always a loss that recovery covers. `@socket.io/redis-streams-adapter` reads what a returning
 * client has missed by one connection to Redis and what comes next by another. When a number is added
 * behind the one read, and the other connection's answer is handled first, the number finds the client
 * not yet in the room, and no proxy is needed for that.
 */

class Row {
  constructor() {
    this.last = null;
    /** When the session was last restored: from when until when, in milliseconds since 1970. */
    this.restoring = null;
  }

  /** A session begins that knows nothing of the one before. */
  begin() {
    this.last = null;
  }

  /** The session goes on; it was restored in this time. */
  goOn(from, until) {
    this.restoring = [from - LATE_MS, until];
  }

  /**
   * @param {number} number
   * @param {number[]} times when this number was said, the one before it, and so on
   * @returns {?Object} the gap before this number, and whether all of it was said while the session was restored
   */
  heard(number, times) {
    const { last, restoring } = this;
    this.last = number;
    if (last === null || number === last + 1) return null;
    const missed = times.slice(1, number - last);
    const isKnown = number > last && missed.length === number - last - 1;
    const isBetween = (time) => restoring !== null && time >= restoring[0] && time <= restoring[1];
    return { last, number, restoring: isKnown && missed.every(isBetween) };
  }
}

/** A number may reach Redis so late. */
const LATE_MS = 500;

module.exports = { Row };
