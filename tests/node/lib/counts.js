'use strict';
/**
 * What a node counts, so that a test can compare it with the proxy's own figures.
 */

class Counts {
  constructor() {
    this.connections = 0;
    /** How many TCP connections were accepted. */
    this.tcp_connections = 0;
    this.disconnects = 0;
    this.upgrades = 0;
    /** When each Engine.IO session began, in milliseconds since 1970. */
    this.sessions_at = [];
    /** By Engine.IO error code. The 2.x line does not report its errors. */
    this.connection_errors = {};
  }

  connectionError(code) {
    this.connection_errors[code] = (this.connection_errors[code] ?? 0) + 1;
  }
}

/**
 * What waits in this process for clients to take it: packets of Engine.IO's sessions, and what was
 * given to their WebSockets.
 *
 * @param {Object} io a server of either line
 * @returns {number} bytes, nearly
 */
function bufferedBytes(io) {
  let bytes = 0;
  for (const session of Object.values(io.engine.clients)) {
    bytes += session.transport.socket?.bufferedAmount ?? 0;
    for (const packet of session.writeBuffer) bytes += packet.data?.length ?? 0;
  }
  return bytes;
}

module.exports = { Counts, bufferedBytes };
