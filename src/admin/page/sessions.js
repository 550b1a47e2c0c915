/** The second screen: find sessions, open or ended. */

import { get } from '/page/api.js';
import { bytes, clock, count, duration, words } from '/page/format.js';
import { At, By, Component, Nothing, html } from '/page/parts.js';

const FIELDS = [
  { name: 'client', label: 'Address', hint: '203.0.113.7 or 203.0.113.0/24' },
  { name: 'user', label: 'User', hint: 'of the user field' },
  { name: 'route', label: 'Route', hint: 'chat.example.com/' },
  { name: 'node', label: 'Node', hint: 'n1' },
  { name: 'transport', label: 'Transport', choices: ['', 'websocket', 'polling', 'upgrade'] },
  { name: 'min_age_seconds', label: 'Older than', hint: 'seconds', kind: 'number' },
  { name: 'max_age_seconds', label: 'Younger than', hint: 'seconds', kind: 'number' },
  { name: 'min_rate', label: 'Busier than', hint: 'messages/s', kind: 'number' },
  { name: 'sort', label: 'Sort by', choices: ['age', 'idle', 'bytes', 'messages', 'rate', 'waiting'] },
];

const LIMIT = 100;

export class Sessions extends Component {
  constructor() {
    super();
    this.state = { found: null, error: null };
  }

  componentDidMount() {
    this.start();
  }

  componentDidUpdate(before) {
    if (before.query !== this.props.query) this.start();
  }

  componentWillUnmount() {
    this.reading.abort();
    clearTimeout(this.typing);
  }

  start() {
    this.reading?.abort();
    this.reading = new AbortController();
    this.read(this.reading.signal);
  }

  async read(signal) {
    const query = new URLSearchParams(this.props.query);
    query.set('limit', LIMIT);
    if (document.visibilityState === 'visible') {
      try {
        const found = await get(`/sessions?${query}`, signal);
        if (!signal.aborted) this.setState({ found, error: null });
      } catch (error) {
        if (signal.aborted) return;
        this.setState({ error });
      }
    }
    setTimeout(() => signal.aborted || this.read(signal), 2_000);
  }

  change = (event) => {
    const query = new URLSearchParams();
    for (const [name, value] of new FormData(event.currentTarget.form ?? event.currentTarget)) {
      if (value.trim() !== '' && !(name === 'sort' && value === 'age')) query.set(name, value.trim());
    }
    clearTimeout(this.typing);
    const text = query.toString();
    this.typing = setTimeout(() => location.replace(`#/sessions${text === '' ? '' : `?${text}`}`), 250);
  };

  render({ query }, { found, error }) {
    const asked = new URLSearchParams(query);
    return html`
      <h1 class="title">Sessions</h1>
      <form class="card find" role="search" onInput=${this.change} onSubmit=${(event) => event.preventDefault()}>
        ${FIELDS.map((field) => html`<label>${field.label}${field.choices
          ? html`<select name=${field.name} value=${asked.get(field.name) ?? field.choices[0]}>${field.choices.map((choice) =>
              html`<option value=${choice} selected=${choice === (asked.get(field.name) ?? field.choices[0])}>${choice === '' ? 'any' : choice}</option>`)}</select>`
          : html`<input name=${field.name} type=${field.kind ?? 'text'} min="0" step="any" placeholder=${field.hint}
              autocomplete="off" spellcheck=${false} defaultValue=${asked.get(field.name) ?? ''} />`}</label>`)}
      </form>
      ${error !== null && html`<${Failure} error=${error} what="Sessions" />`}
      ${found !== null && html`<${Open} found=${found} /><${Ended} ended=${found.ended} />`}
      ${found === null && error === null && html`<${Nothing}>Looking …<//>`}`;
  }
}

/** Why something cannot be shown. */
export function Failure({ error, what }) {
  const sentence = error.status === 404 ? `${what}: this version of Sockeye, or this session, has nothing to show.` : error.message;
  return html`<p class="card fault" role="alert">${sentence}</p>`;
}

function Open({ found }) {
  return html`<section class="card" aria-labelledby="open">
    <h2 id="open">Open <span class="quiet">${found.shown < found.matching
      ? `${count(found.shown)} of ${count(found.matching)}` : count(found.matching)}</span></h2>
    ${found.sessions.length === 0 ? html`<${Nothing}>No open session is like this.<//>` : html`
    <div class="scroll" tabindex="0" role="region" aria-label="Table of open sessions"><table class="rows open">
      <thead><tr><th scope="col">Client</th><th scope="col">Transport</th><th scope="col">Node</th><th scope="col">Route</th>
        <th scope="col" class="number">Age</th><th scope="col" class="number">Idle</th>
        <th scope="col" class="number">Messages in / out</th><th scope="col" class="number">Bytes in / out</th><th scope="col">Remarks</th></tr></thead>
      <tbody>${found.sessions.map((session) => html`<tr key=${session.id}>
        <th scope="row"><a href=${`#/sessions/${session.id}`}>${session.client}</a>${session.user !== null && html` <span class="quiet">${session.user}</span>`}</th>
        <td>${session.transport}</td>
        <td>${session.node} <span class="quiet">${session.upstream}</span></td>
        <td class="route">${session.route}</td>
        <td class="number">${duration(session.age_seconds)}</td><td class="number">${duration(session.idle_seconds)}</td>
        <td class="number">${count(session.messages_from_client)} / ${count(session.messages_from_node)}</td>
        <td class="number">${bytes(session.bytes_from_client)} / ${bytes(session.bytes_from_node)}</td>
        <td>${session.waiting && html`<span class="state warn"><span class="mark" aria-hidden="true">▲</span>does not read</span> `}${
          session.stuck !== null && html`<span class="state warn" title=${session.stuck.hint}><span class="mark" aria-hidden="true">▲</span>stuck: ${words(session.stuck.outcome)}</span>`}</td>
      </tr>`)}</tbody>
    </table></div>`}
  </section>`;
}

function Ended({ ended }) {
  return html`<section class="card" aria-labelledby="ended">
    <h2 id="ended">Ended <span class="quiet">the latest first</span></h2>
    ${ended.length === 0 ? html`<${Nothing}>No session like this ended lately.<//>` : html`
    <div class="scroll" tabindex="0" role="region" aria-label="Table of ended sessions"><table class="rows ended">
      <thead><tr><th scope="col">Client</th><th scope="col">Ended</th><th scope="col">How</th><th scope="col">By</th><th scope="col">Node</th>
        <th scope="col" class="number">After</th><th scope="col">What is known</th></tr></thead>
      <tbody>${ended.map((session) => html`<tr key=${session.id}>
        <th scope="row"><a href=${`#/sessions/${session.id}`}>${session.client}</a>${session.user !== null && html` <span class="quiet">${session.user}</span>`}</th>
        <td><${At} seconds=${session.ended_at} shown=${clock(session.ended_at)} /></td>
        <td>${words(session.end)}${session.code !== null && html` <span class="quiet">${session.code}</span>`}</td>
        <td><${By} by=${session.by} /></td>
        <td>${session.node}</td>
        <td class="number">${duration(session.age_seconds)}</td>
        <td class="verdict-cell">${session.cause !== null && html`<b>${words(session.cause)}</b> `}${session.explanation}</td>
      </tr>`)}</tbody>
    </table></div>`}
  </section>`;
}
