'use strict';
/**
 * The command line: one table of options says what is allowed, what is a number and what it is for;
 * `--help` is printed from the same table, so that it cannot be wrong.
 */

const { parseArgs } = require('node:util');

/**
 * Reads the command line.
 *
 * @param {string} usage first line of the help
 * @param {Object<string, {kind: 'text'|'number'|'switch'|'list', otherwise?: *, help: string}>} table
 * @returns {Object} a value for each option of the table; exits with 2 on a mistake
 */
function readArguments(usage, table) {
  let given;
  try {
    given = parseArgs({ options: shapes(table) }).values;
  } catch (mistake) {
    return refuse(mistake.message);
  }
  if (given.help) {
    process.stdout.write(help(usage, table));
    process.exit(0);
  }
  const values = {};
  for (const [name, option] of Object.entries(table)) {
    values[camel(name)] = valueOf(name, option, given[name]);
  }
  return values;
}

/** Says what is wrong with the command line and ends with 2. */
function refuse(words) {
  process.stderr.write(`${words}\nTry --help.\n`);
  process.exit(2);
}

function shapes(table) {
  const options = { help: { type: 'boolean', short: 'h' } };
  for (const [name, option] of Object.entries(table)) {
    options[name] = { type: option.kind === 'switch' ? 'boolean' : 'string' };
  }
  return options;
}

function valueOf(name, option, text) {
  if (text === undefined) return option.kind === 'switch' ? false : option.otherwise;
  if (option.kind === 'list') return text.split(',');
  if (option.kind !== 'number') return text;
  const number = Number(text);
  if (text.trim() === '' || !Number.isFinite(number)) refuse(`--${name} wants a number, not '${text}'`);
  return number;
}

function help(usage, table) {
  const lines = Object.entries(table).map(([name, option]) => {
    const preset = option.otherwise === undefined ? '' : ` (${option.otherwise})`;
    return `  --${name.padEnd(16)}${option.help}${preset}`;
  });
  return `${usage}\n\n${lines.join('\n')}\n`;
}

function camel(name) {
  return name.replace(/-(.)/g, (_, letter) => letter.toUpperCase());
}

module.exports = { readArguments, refuse };
