'use strict';
/**
 * Pure: Engine.IO packets as they stand in the body of a polling request or answer, for the scenarios
 * that speak HTTP by hand. Text packets only; EIO=4 joins them by the record separator, EIO=3 puts
 * their length before each, in UTF-16 units, which is what JavaScript counts.
 */

const vm = require('node:vm');

/** First character of a packet. */
const PACKET = { open: '0', close: '1', ping: '2', pong: '3', message: '4', noop: '6' };

const RECORD_SEPARATOR = '\x1e';

/** @param {3|4} version @param {string[]} packets */
function encodePayload(version, packets) {
  if (version === 4) return packets.join(RECORD_SEPARATOR);
  return packets.map((packet) => `${packet.length}:${packet}`).join('');
}

/** @param {3|4} version @param {string} payload @returns {string[]} */
function decodePayload(version, payload) {
  if (version === 4) return payload.split(RECORD_SEPARATOR);
  const packets = [];
  for (let at = 0; at < payload.length; ) {
    const colon = payload.indexOf(':', at);
    const length = Number(payload.slice(at, colon));
    if (colon === -1 || !Number.isInteger(length) || colon + 1 + length > payload.length) {
      throw new Error(`not an EIO=3 payload: '${payload.slice(0, 80)}'`);
    }
    packets.push(payload.slice(colon + 1, colon + 1 + length));
    at = colon + 1 + length;
  }
  return packets;
}

/** Runs a JSONP answer as a page would, and gives the text that it passed to callback `index`. */
function runJsonp(script, index) {
  const calls = [];
  const callback = (payload) => calls.push(payload);
  vm.runInNewContext(script, { ___eio: { [index]: callback } }, { timeout: SCRIPT_MS });
  if (calls.length !== 1) throw new Error(`the script called ___eio[${index}] ${calls.length} times`);
  return calls[0];
}

/** The form body of a JSONP POST; line ends are escaped once more since forms change them. */
function jsonpForm(payload) {
  return `d=${encodeURIComponent(payload.replace(/\\n/g, '\\\\n'))}`;
}

const SCRIPT_MS = 1_000;

module.exports = { PACKET, decodePayload, encodePayload, jsonpForm, runJsonp };
