/** Numbers, times and names as people read them. */

const grouped = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** 1234 as 1,234. */
export function count(value) {
  return value == null ? '–' : grouped.format(value);
}

/** A speed: few digits, whatever its size. */
export function rate(value) {
  if (value == null) return '–';
  if (value >= 100_000) return `${(value / 1000).toFixed(0)}k`;
  if (value >= 10_000) return `${(value / 1000).toFixed(1)}k`;
  if (value >= 100 || Number.isInteger(value)) return grouped.format(value);
  return value.toFixed(1);
}

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];

export function bytes(value) {
  if (value == null) return '–';
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : value.toFixed(0)} ${UNITS[unit]}`;
}

/** Its two largest units, as `sockeye status` has it. */
export function duration(seconds) {
  if (seconds == null) return '–';
  const whole = Math.max(0, Math.round(seconds));
  const [days, hours] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24];
  const [minutes, rest] = [Math.floor(whole / 60) % 60, whole % 60];
  if (days > 0) return `${days}d ${hours}h`;
  if (hours > 0) return `${hours}h ${minutes}m`;
  if (minutes > 0) return `${minutes}m ${rest}s`;
  return `${rest}s`;
}

export function millis(value) {
  if (value == null) return '–';
  if (value >= 10_000) return `${(value / 1000).toFixed(0)} s`;
  if (value >= 1_000) return `${(value / 1000).toFixed(1)} s`;
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;
}

export function timeOfDay(unixSeconds) {
  return new Date(unixSeconds * 1000).toLocaleTimeString('en-GB');
}

/** The time of day, and the date if that is not today. */
export function clock(unixSeconds) {
  if (unixSeconds == null) return '–';
  const at = new Date(unixSeconds * 1000);
  const time = timeOfDay(unixSeconds);
  const isToday = at.toDateString() === new Date().toDateString();
  return isToday ? time : `${at.toLocaleDateString('en-CA')} ${time}`;
}

/** `client_left` as `client left`. */
export function words(label) {
  return String(label ?? '').replaceAll('_', ' ');
}

const DRAINS = { ordered: 'by order', configured: 'by the configuration', asked: 'asked by the node', left: 'removed' };

export function drainCause(causes) {
  return causes.map((cause) => DRAINS[cause] ?? words(cause)).join(', ');
}
