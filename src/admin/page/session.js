/** One session: what is known of it, its time line, and its frames as they pass. */

import { events, get, post } from '/page/api.js';
import { bytes, clock, count, duration, timeOfDay, words } from '/page/format.js';
import { At, By, Component, Nothing, Order, html } from '/page/parts.js';
import { Failure } from '/page/sessions.js';

export class Session extends Component {
  constructor() {
    super();
    this.state = { shown: null, error: null };
  }

  componentDidMount() {
    this.reading = new AbortController();
    this.read(this.reading.signal);
  }

  componentWillUnmount() {
    this.reading.abort();
  }

  async read(signal) {
    try {
      const shown = await get(`/sessions/${this.props.id}`, signal);
      this.setState({ shown, error: null });
      // What has ended stays as it is.
      if (shown.ended) return;
    } catch (error) {
      if (signal.aborted) return;
      this.setState({ error });
      if (error.status === 404) return;
    }
    setTimeout(() => signal.aborted || this.read(signal), 1_000);
  }

  render({ id }, { shown, error }) {
    const back = html`<p><a href="#/sessions">← All sessions</a></p>`;
    if (shown === null) {
      return html`${back}<h1 class="title">Session ${id}</h1>${error === null ? html`<${Nothing}>Looking …<//>` : html`<${Failure} error=${error} what="Sessions" />`}`;
    }
    const { timeline, packets } = shown;
    const session = shown.ended ?? shown.session;
    const isOver = session === shown.ended;
    return html`${back}
      <div class="bar">
        <h1 class="title">${session.client}${session.user !== null && ` (${session.user})`} <span class="quiet">on ${session.node}</span></h1>
        ${!isOver && html`<${Order} label="End session" title=${`End session of ${session.client}`} question="End it"
          order=${() => post(`/sessions/${id}/end`)} />`}
      </div>
      ${isOver && html`<p class="card outcome"><b>${words(session.end)}</b> by <${By} by=${session.by} />
        <span class="quiet"> at <${At} seconds=${session.ended_at} shown=${clock(session.ended_at)} /></span>${
        session.cause !== null && html`<b class="cause">${words(session.cause)}</b>`} ${session.explanation}</p>`}
      ${session.stuck !== null && html`<p class="card warnings"><strong>Stuck in polling: ${words(session.stuck.outcome)}.</strong> ${session.stuck.hint}</p>`}
      <div class="columns">
        <${Facts} session=${session} isOver=${isOver} />
        <div class="stack"><${Timeline} timeline=${timeline} /><${Packets} packets=${packets} /></div>
      </div>
      ${!isOver && session.transport !== 'polling' && html`<${Frames} id=${id} />`}`;
  }
}

const HTTP = { http1: 'HTTP/1.1', http2: 'HTTP/2' };

function Facts({ session, isOver }) {
  const rows = [
    ['Transport', `${session.transport}, ${HTTP[session.http] ?? session.http}`],
    ['Route', session.route],
    ['Node', `${session.node} of ${session.upstream}`],
    ['Session', session.session ?? 'not known'],
    [isOver ? 'Lasted' : 'Open for', duration(session.age_seconds)],
    ['Silent for', duration(session.idle_seconds)],
    ['From the client', `${count(session.messages_from_client)} messages, ${bytes(session.bytes_from_client)}`],
    ['From the node', `${count(session.messages_from_node)} messages, ${bytes(session.bytes_from_node)}`],
    ...(session.waiting ? [['Waiting', 'bytes wait for a side that does not read']] : []),
  ];
  return html`<section class="card" aria-labelledby="facts"><h2 id="facts">What is known</h2>
    <dl>${rows.map(([what, value]) => html`<dt>${what}</dt><dd>${value}</dd>`)}</dl></section>`;
}

function Timeline({ timeline }) {
  return html`<section class="card" aria-labelledby="timeline"><h2 id="timeline">Time line</h2>
    ${timeline.length === 0 ? html`<${Nothing}>Nothing was recorded.<//>` : html`<ol class="timeline">${timeline.map((step) => html`<li>
      <${At} seconds=${step.at} shown=${timeOfDay(step.at)} /><span class="quiet">+${duration(step.seconds)}</span>
      <span><b>${words(step.what)}</b> ${step.detail}</span></li>`)}</ol>`}
  </section>`;
}

function Packets({ packets }) {
  if (packets.length === 0) return null;
  return html`<section class="card packets" aria-labelledby="packets"><h2 id="packets">Last packets</h2>
    <div class="scroll" tabindex="0" role="region" aria-label="Table of packets"><table><thead><tr>
      <th scope="col" class="number">Ago</th><th scope="col">From</th><th scope="col">Kind</th><th scope="col" class="number">Bytes</th></tr></thead>
    <tbody>${packets.toReversed().map((packet) => html`<tr><td class="number">${duration(packet.seconds_ago)}</td><td><${From} side=${packet.from} /></td>
      <td>${packet.opcode}</td><td class="number">${count(packet.bytes)}</td></tr>`)}</tbody></table></div></section>`;
}

function From({ side }) {
  return html`<span class=${`from ${side}`}><span class="mark" aria-hidden="true">${side === 'client' ? '↑' : '↓'}</span>${side}</span>`;
}

/** The frames that pass, while somebody wants to see them. */
class Frames extends Component {
  constructor() {
    super();
    this.state = { state: 'off', error: null, withPayload: false, frames: [], seen: 0, lost: 0, ended: null };
  }

  componentWillUnmount() {
    this.stop();
  }

  start() {
    this.stop();
    this.watching = new AbortController();
    this.setState({ state: 'waiting', error: null, frames: [], seen: 0, lost: 0, ended: null });
    const path = `/sessions/${this.props.id}/watch${this.state.withPayload ? '?payload=1' : ''}`;
    events(path, this.add, (state, error = null) => this.setState({ state, error }), this.watching.signal);
  }

  stop = () => {
    this.watching?.abort();
    this.setState({ state: 'off' });
  };

  add = (name, data) => {
    if (name === 'lost') return this.setState(({ lost }) => ({ lost: lost + data.frames }));
    if (name === 'ended') {
      this.watching.abort();
      return this.setState({ state: 'off', ended: data });
    }
    if (name !== 'frame') return undefined;
    return this.setState(({ frames, seen }) => ({ frames: [{ ...data, key: seen }, ...frames].slice(0, FRAMES_MAX), seen: seen + 1 }));
  };

  render(_, { state, error, withPayload, frames, seen, lost, ended }) {
    const isOn = state !== 'off' && state !== 'refused';
    return html`<section class="card" aria-labelledby="frames">
      <div class="bar"><h2 id="frames">Frames ${isOn && html`<span class="quiet">live</span>`}</h2>
        <div class="watch">
          <label class="check"><input type="checkbox" checked=${withPayload} disabled=${isOn}
            onChange=${(event) => this.setState({ withPayload: event.target.checked })} /> with payload</label>
          <button aria-pressed=${isOn} onClick=${() => (isOn ? this.stop() : this.start())}>${isOn ? 'Stop' : 'Watch'}</button>
        </div></div>
      ${error !== null && state === 'refused' && html`<${Failure} error=${error} what="Frames" />`}
      ${(seen > 0 || lost > 0) && html`<p class="quiet">${count(seen)} seen${lost > 0 && `, ${count(lost)} not shown since there were too many`}</p>`}
      ${ended !== null && html`<p>The session ended: <b>${words(ended.end)}</b> by <${By} by=${ended.by} />.</p>`}
      ${frames.length === 0 ? html`<${Nothing}>${isOn ? 'Waiting for the next frame …' : 'The frames of this session as they pass, with type and event. Each watch is logged.'}<//>` : html`
      <div class="scroll frames" tabindex="0" role="region" aria-label="Table of frames"><table>
        <thead><tr><th scope="col" class="number">At</th><th scope="col">From</th><th scope="col">Frame</th><th scope="col">Packet</th>
          <th scope="col">Event</th><th scope="col" class="number">Bytes</th>${withPayload && html`<th scope="col">Payload</th>`}</tr></thead>
        <tbody>${frames.map((frame) => html`<tr key=${frame.key}>
          <td class="number">${frame.seconds.toFixed(3)}</td><td><${From} side=${frame.from} /></td>
          <td>${frame.opcode}${frame.compressed && html` <span class="quiet">deflate</span>`}</td>
          <td>${[frame.engineio, frame.socketio].filter((type) => type !== null).map(words).join(' › ')}</td>
          <td>${frame.event !== null && html`<b>${frame.event}</b>`}${frame.namespace !== null && frame.namespace !== '/' && html` <span class="quiet">${frame.namespace}</span>`}</td>
          <td class="number">${count(frame.bytes)}</td>${withPayload && html`<td class="payload"><code>${frame.payload}</code></td>`}
        </tr>`)}</tbody></table></div>`}
    </section>`;
  }
}

const FRAMES_MAX = 200;
