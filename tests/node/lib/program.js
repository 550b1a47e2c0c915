'use strict';
/** Programs of the system. */

const fs = require('node:fs');
const path = require('node:path');

/** The path of the first of these programs that is on the PATH. */
function findProgram(names) {
  const directories = (process.env.PATH ?? '').split(path.delimiter);
  for (const name of names) {
    const found = directories.map((directory) => path.join(directory, name)).find(isProgram);
    if (found !== undefined) return found;
  }
  throw new Error(`none of ${names.join(', ')} is on the PATH; \`cargo xtask edge\` installs them`);
}

function isProgram(file) {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

module.exports = { findProgram };
