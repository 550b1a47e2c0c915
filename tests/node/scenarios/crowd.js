'use strict';
/**
 * Many clients that stay, and speak, until stdin is closed while the test drains, stops and kills things
 * around them. They take turns in how they connect: by polling alone, by polling and then WebSocket, by
 * WebSocket alone.
 *
 * Lines: `ready` when all are connected for the first time, then `gone` and `back` of each client,
 * `refused` for each handshake that failed, `stalled` for each that takes long, `slow` for each echo that took
 * long, `gap` where a recovered client misses a message (`overtaken`: it was said while the session was
 * restored, see `lib/row.js`), `control` for each connection past the proxy to a node of `--control`. Holds when
 * all are connected at the end, and no handshake was refused. Give a `--deadline` that is longer than the test.
 */

const { control } = require('../lib/control');
const { CrowdMember } = require('../lib/crowd_member');
const { within } = require('../lib/deadline');
const { onStdinClosed } = require('../lib/lifetime');
const { report } = require('../lib/report');

module.exports = async function crowd(options, verdict) {
  const end = new Promise(onStdinClosed);
  const members = [];
  const entered = enter(members, options);
  await within(options.deadline * 1_000, 'first connection for all', entered);
  report('ready', { clients: members.length, transports: tally(members.map(({ transport }) => transport)) });
  options.control.forEach((url) => control(url, options));
  await end;

  for (const member of members) {
    member.finish();
    verdict.expect(member.socket.connected, `client ${member.index} is not connected at the end`);
  }
  const sum = (figure) => members.reduce((total, member) => total + member.figures[figure], 0);
  verdict.facts.clients = members.length;
  for (const figure of ['echoes', 'gone', 'refused', 'messages', 'gaps', 'overtaken']) verdict.facts[figure] = sum(figure);
  verdict.facts.slowest_echo_ms = Math.max(...members.map(({ figures }) => figures.slowest_echo_ms));
  verdict.expect(verdict.facts.refused === 0, `${verdict.facts.refused} handshakes were refused`);
};

/** One after the other, `--arrivals` each second, so that beginning is no storm. */
async function enter(members, options) {
  const first = [];
  const began = performance.now();
  for (let index = 0; index < (options.clients ?? 1_000); index++) {
    const due = began + (index * 1_000) / options.arrivals;
    await pause(due - performance.now());
    const member = new CrowdMember(index, options);
    members.push(member);
    first.push(member.first);
  }
  await Promise.all(first);
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, milliseconds)));
}

function tally(names) {
  const counts = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
