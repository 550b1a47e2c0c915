'use strict';
/**
 * What a node counts, so that a test can compare it with the proxy's own figures.
 */

class Counts {
  constructor() {
    this.connections = 0;
    this.disconnects = 0;
    this.upgrades = 0;
    /** By Engine.IO error code. The 2.x line does not report its errors. */
    this.connection_errors = {};
  }

  connectionError(code) {
    this.connection_errors[code] = (this.connection_errors[code] ?? 0) + 1;
  }
}

module.exports = { Counts };
