'use strict';
/**
 * No process of ours outlives the test that started it, however that test ended: the test holds our
 * stdin open, and the kernel closes it even when the test is killed.
 */

/** Calls `gone` once, when the other end of stdin is closed. */
function onStdinClosed(gone) {
  let called = false;
  const once = () => {
    if (!called) gone();
    called = true;
  };
  process.stdin.on('end', once).on('close', once).on('error', once).resume();
}

module.exports = { onStdinClosed };
