/** The first screen: how it is, what happens, which nodes there are, and what to look at. */

import { post } from '/page/api.js';
import { Chart, SPANS, follow } from '/page/charts.js';
import { bytes, clock, count, drainCause, duration, millis, rate, words } from '/page/format.js';
import { At, By, Component, Nothing, Order, State, html } from '/page/parts.js';

export class Overview extends Component {
  constructor() {
    super();
    this.state = { span: SPANS[0], history: null };
  }

  componentDidMount() {
    this.start(SPANS[0]);
  }

  componentWillUnmount() {
    this.following.abort();
  }

  start(span) {
    this.following?.abort();
    this.following = new AbortController();
    this.setState({ span });
    follow(SERIES, span, (history) => this.setState({ history }), this.following.signal);
  }

  render({ overview }, { span, history }) {
    if (overview === null) return html`<${Nothing}>Waiting for the first numbers …<//>`;
    return html`
      <${Verdict} ...${overview} />
      <${Warnings} warnings=${overview.warnings} />
      <${Figures} ...${overview} history=${history} span=${span} onSpan=${(span) => this.start(span)} />
      <${Nodes} nodes=${overview.nodes} />
      <div class="columns">
        <${Ends} ends=${overview.ends} />
        <${Reloads} reloads=${overview.reloads} />
      </div>`;
  }
}

function Verdict({ level, sentence }) {
  return html`<div class=${`verdict ${level}`}>
    <span class="mark" aria-hidden="true">${{ ok: '●', warn: '▲', bad: '■' }[level] ?? '●'}</span>
    <h1><span role="status"><span class="sr">${{ ok: 'Fine: ', warn: 'Warning: ', bad: 'Alarm: ' }[level]}</span>${sentence}</span></h1>
  </div>`;
}

function Warnings({ warnings }) {
  if (warnings.length === 0) return null;
  return html`<section class="card warnings" aria-labelledby="warnings">
    <h2 id="warnings">Look at this</h2>
    <ul>${warnings.map((warning) => html`<li key=${warning.text}>
      <strong>${warning.text}</strong> <span>${warning.what_to_do}</span>
    </li>`)}</ul>
  </section>`;
}

function Figures({ sessions, rates, process, history, span, onSpan }) {
  const stuck = sessions.stuck_cause;
  return html`<section aria-labelledby="figures">
    <div class="bar">
      <h2 id="figures">What happens</h2>
      <div class="spans" role="group" aria-label="Time shown">${SPANS.map((each) => html`<button
        aria-pressed=${each === span} onClick=${() => onSpan(each)}>${each.name}</button>`)}</div>
    </div>
    <div class="figures">
      <${Figure} title="Open sessions" history=${history} span=${span} show=${rate} lines=${SESSIONS} facts=${[
        [count(sessions.websocket), 'WebSocket'],
        [count(sessions.polling), 'polling'],
        [count(sessions.stuck), 'stuck', sessions.stuck > 0 ? 'warn' : ''],
      ]} />
      <${Figure} title="Sessions each minute" history=${history} span=${span} show=${rate} lines=${CHURN} facts=${[
        [count(rates.new_sessions_per_minute), 'new'],
        [count(rates.ends_per_minute), 'ended'],
      ]} />
      <${Figure} title="Messages each second" history=${history} span=${span} show=${rate} lines=${MESSAGES} facts=${[
        [rate(rates.messages_from_client_per_second), 'from clients'],
        [rate(rates.messages_from_nodes_per_second), 'from nodes'],
      ]} />
      <${Figure} title="Bytes each second" history=${history} span=${span} show=${bytes} lines=${BYTES} facts=${[
        [bytes(rates.bytes_from_clients_per_second), 'from clients'],
        [bytes(rates.bytes_from_nodes_per_second), 'from nodes'],
      ]} />
    </div>
    ${sessions.stuck > 0 && stuck !== null && html`<p class="note"><b>Stuck in polling</b>, mostly ${words(stuck.outcome)}${
      stuck.cause !== '' && stuck.cause !== 'none' && ` ${stuck.cause}`}: ${stuck.hint}</p>`}
    <p class="process">Sockeye ${process.version}, up ${duration(process.uptime_seconds)},
      memory ${bytes(process.memory_bytes)}, ${process.cpu === null ? '' : `CPU ${(process.cpu * 100).toFixed(1)} % of a core, `}
      ${count(process.connections)} connections besides the WebSockets, of ${count(process.connections_max)} allowed</p>
  </section>`;
}

function Figure({ title, facts, lines, show, history, span }) {
  return html`<div class="card figure">
    <h3>${title}</h3>
    <p class="facts">${facts.map(([value, what, level = '']) => html`<span class=${`fact ${level}`}>
      <b>${value}</b> ${what}</span>`)}</p>
    ${history === null ? html`<div class="chart empty"></div>`
      : html`<${Chart} history=${history} span=${span} lines=${lines} show=${show} label=${`${title} over time`} />`}
  </div>`;
}

function Nodes({ nodes }) {
  const most = Math.max(1, ...nodes.map((node) => node.sessions));
  return html`<section class="card" aria-labelledby="nodes">
    <h2 id="nodes">Nodes</h2>
    <div class="scroll" tabindex="0" role="region" aria-label="Table of nodes"><table class="nodes">
      <thead><tr>
        <th scope="col">Node</th><th scope="col">State</th><th scope="col" class="number">Sessions</th>
        <th scope="col" class="number">New/min</th>
        <th scope="col" class="number" title="How late its event loop answers: the median and the 99th percentile">Lag p50 / p99</th>
        <th scope="col"><span class="sr">Orders</span></th>
      </tr></thead>
      <tbody>${nodes.map((node) => html`<${Node} key=${`${node.upstream}/${node.name}/${node.address}`} node=${node} most=${most} />`)}</tbody>
    </table></div>
  </section>`;
}

function Node({ node, most }) {
  const isOrdered = node.draining?.causes.includes('ordered') ?? false;
  const path = `/nodes/${encodeURIComponent(`${node.upstream}/${node.name}`)}`;
  const address = node.address === node.name ? '' : ` ${node.address}`;
  return html`<tr class=${node.retired ? 'retired' : ''}>
    <th scope="row"><b>${node.name}</b><span class="quiet"> ${node.upstream}${address}${node.retired ? ', removed' : ''}</span></th>
    <td><${State} state=${node.state} />${node.draining !== null ? html` <${Drain} drain=${node.draining} sessions=${node.sessions} />`
      : node.reason !== null && html`<span class="reason"> ${node.reason}</span>`}</td>
    <td class="number"><span class="share"><meter aria-label=${`Sessions of ${node.name}`} min="0" max=${most} value=${node.sessions}></meter>
      ${node.sessions > 0 ? html`<a href=${`#/sessions?node=${encodeURIComponent(node.name)}`}>${count(node.sessions)}</a>` : '0'}</span></td>
    <td class="number">${count(node.new_sessions_per_minute)}</td>
    <td class="number">${node.lag === null ? html`<span class="quiet">–</span>`
      : html`${millis(node.lag.p50_ms)} / <span class=${node.lag.p99_ms >= 1000 ? 'late' : ''}>${millis(node.lag.p99_ms)}</span>`}</td>
    <td class="orders">${node.retired ? null : isOrdered
      ? html`<${Order} key="undrain" label="End drain" title=${`End drain of ${node.name}`} order=${() => post(`${path}/undrain`)} />`
      : html`<${Order} key="drain" label="Drain" title=${`Drain ${node.name}`} question=${`Drain ${node.name}`} order=${() => post(`${path}/drain`)} />`}</td>
  </tr>`;
}

function Drain({ drain, sessions }) {
  const next = drain.empty ? 'empty: it can be stopped'
    : drain.closing_in_seconds > 0 ? `WebSockets close in ${duration(drain.closing_in_seconds)}`
    : drain.given_up_in_seconds > 0 ? `${count(sessions)} left, given up in ${duration(drain.given_up_in_seconds)}`
    : 'its time is over';
  return html`<span class="reason"> ${drainCause(drain.causes)}; ${next}</span>`;
}

function Ends({ ends }) {
  return html`<section class="card" aria-labelledby="ends">
    <h2 id="ends">How WebSockets ended</h2>
    ${ends.length === 0 ? html`<${Nothing}>None ended in the last 15 minutes.<//>` : html`<table>
      <thead><tr><th scope="col">End</th><th scope="col">By</th><th scope="col" class="number">1 min</th><th scope="col" class="number">15 min</th></tr></thead>
      <tbody>${ends.map((end) => html`<tr key=${`${end.end} ${end.by} ${end.cause}`}>
        <th scope="row">${words(end.end)}${end.cause !== null && html`<span class="reason"> ${words(end.cause)}</span>`}</th>
        <td><${By} by=${end.by} /></td>
        <td class="number">${count(end.last_minute)}</td><td class="number">${count(end.last_15_minutes)}</td>
      </tr>`)}</tbody>
    </table>`}
  </section>`;
}

function Reloads({ reloads }) {
  return html`<section class="card" aria-labelledby="reloads">
    <h2 id="reloads">Reloads</h2>
    ${reloads.length === 0 ? html`<${Nothing}>None since the start.<//>` : html`<ol class="reloads">${reloads.map((reload) => html`
      <li key=${reload.at}>
        <${At} seconds=${reload.at} shown=${clock(reload.at)} />
        <div><span class=${`state ${reload.ok ? 'ok' : 'bad'}`}>${reload.ok ? 'reloaded' : 'refused'}</span>
        ${reload.ok ? (reload.changes.length === 0 ? html` <span class="quiet">no changes</span>`
          : html`<ul>${reload.changes.slice(0, 6).map((change) => html`<li><code>${change}</code></li>`)}${
            reload.changes.length > 6 && html`<li class="quiet">and ${reload.changes.length - 6} more</li>`}</ul>`)
          : html`<pre>${reload.failure}</pre>`}</div>
      </li>`)}</ol>`}
  </section>`;
}

const SESSIONS = [
  { series: 'websockets', label: 'WebSocket', colour: 'line-1', fill: true },
  { series: 'polling', label: 'polling', colour: 'line-2' },
  { series: 'stuck', label: 'stuck', colour: 'line-3' },
];

const CHURN = [
  { series: 'new_sessions', label: 'new', colour: 'line-1', fill: true, eachMinute: true },
  { series: 'ends_by_client', label: 'left', colour: 'line-2', eachMinute: true },
  { series: 'ends_by_node', label: 'ended by nodes', colour: 'line-3', eachMinute: true },
];

const MESSAGES = [
  { series: 'messages_from_clients', label: 'from clients', colour: 'line-1', fill: true },
  { series: 'messages_from_nodes', label: 'from nodes', colour: 'line-2' },
];

const BYTES = [
  { series: 'bytes_from_clients', label: 'from clients', colour: 'line-1', fill: true },
  { series: 'bytes_from_nodes', label: 'from nodes', colour: 'line-2' },
];

const SERIES = [SESSIONS, CHURN, MESSAGES, BYTES].flat().map(({ series }) => series);
