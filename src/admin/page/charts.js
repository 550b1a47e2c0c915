/** Lines over time, drawn by uPlot in the colours of the page. */

import { get } from '/page/api.js';
import { clock } from '/page/format.js';
import { Component, html } from '/page/parts.js';

export const SPANS = [
  { name: '5 min', seconds: 300, every: 2_000 },
  { name: '1 h', seconds: 3_600, every: 10_000 },
  { name: '24 h', seconds: 86_400, every: 60_000 },
];

const dark = matchMedia('(prefers-color-scheme: dark)');

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Follows the history of `series` over a span, and gives it to `onHistory`. */
export function follow(series, span, onHistory, signal) {
  const read = async () => {
    if (document.visibilityState === 'visible') {
      const path = `/history?series=${series.join(',')}&seconds=${span.seconds}`;
      // A process that is gone is reported by the stream.
      const history = await get(path, signal).catch(() => null);
      if (history !== null && !signal.aborted) onHistory(history);
    }
    if (!signal.aborted) setTimeout(read, span.every);
  };
  read();
}

/**
 * `lines` are `{ series, label, colour, fill, eachMinute }`; `show` makes a text of a value. Under the pointer
 * it shows the values of that time.
 */
export class Chart extends Component {
  constructor() {
    super();
    this.state = { at: null };
  }

  componentDidMount() {
    dark.addEventListener('change', this.remake);
    this.resizer = new ResizeObserver(() => this.plot?.setSize(this.size()));
    this.resizer.observe(this.box);
    this.remake();
  }

  componentWillUnmount() {
    dark.removeEventListener('change', this.remake);
    this.resizer.disconnect();
    this.plot?.destroy();
  }

  componentDidUpdate() {
    this.plot?.setData(this.data());
  }

  size() {
    return { width: Math.max(40, this.box.clientWidth), height: 84 };
  }

  data() {
    const { history, lines } = this.props;
    const step = history?.step_seconds ?? 1;
    const values = lines.map(({ series, eachMinute = false }) => {
      const values = history?.series[series] ?? [];
      return eachMinute ? values.map((value, index) => inMinute(values, value, index, step)) : values;
    });
    const begin = history?.begins_at ?? 0;
    return [values[0].map((_, index) => begin + index * step), ...values];
  }

  remake = () => {
    this.plot?.destroy();
    const { lines, show } = this.props;
    const [quiet, line] = [colour('--quiet'), colour('--line')];
    const font = '11px system-ui, sans-serif';
    const axis = { stroke: quiet, font, ticks: { show: false }, gap: 4 };
    this.plot = new window.uPlot({
      ...this.size(),
      padding: [6, 4, 0, 0],
      cursor: { y: false, points: { size: 5 }, drag: { x: false, y: false } },
      legend: { show: false },
      scales: { x: { range: (_, __, end) => [end - this.props.span.seconds, end] }, y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
      axes: [
        { ...axis, size: 18, space: 70, grid: { show: false }, values: (_, ticks) => ticks.map(hours) },
        { ...axis, size: 44, space: 26, grid: { stroke: line, width: 1 }, values: (_, ticks) => ticks.map(show) },
      ],
      series: [{}, ...lines.map(drawn)],
      hooks: { setCursor: [(plot) => this.setState({ at: plot.cursor.idx })] },
    }, this.data(), this.box);
  };

  render({ lines, show, label }, { at }) {
    const data = at === null ? null : this.data();
    const known = data !== null && at < data[0].length;
    return html`<div class="chart">
      <div class="plot" role="img" aria-label=${label} ref=${(box) => { this.box = box ?? this.box; }}></div>
      <p class="legend">
        ${lines.map((line, index) => html`<span><i class=${line.colour} aria-hidden="true"></i>${line.label}${
          known && html` <b>${show(data[index + 1][at] ?? 0)}</b>`}</span>`)}
        ${known && html`<span class="when">${clock(data[0][at])}</span>`}
      </p>
    </div>`;
  }
}

/** How many there were in the minute before: single seconds of rare things are only 0 or 60 a minute. */
function inMinute(values, value, index, step) {
  if (value === null) return null;
  const known = values.slice(Math.max(0, index + 1 - Math.ceil(60 / step)), index + 1).filter((value) => value !== null);
  return 60 * known.reduce((sum, value) => sum + value, 0) / known.length;
}

function drawn({ label, colour: name, fill }) {
  const stroke = colour(`--${name}`);
  return { label, stroke, width: 1.5, points: { show: false }, fill: fill ? `${stroke}22` : undefined };
}

function hours(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
}
