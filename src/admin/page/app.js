/** The frame around the screens: which one is shown, whether it is live, and the key. */

import { render } from '/page/vendor/preact.mjs';
import { events, keepKey, onKeyNeeded } from '/page/api.js';
import { duration } from '/page/format.js';
import { Overview } from '/page/overview.js';
import { Component, Nothing, html } from '/page/parts.js';
import { Session } from '/page/session.js';
import { Sessions } from '/page/sessions.js';

class App extends Component {
  constructor() {
    super();
    this.state = { route: route(), overview: null, connection: 'waiting', error: null, needsKey: false, lost: 0 };
  }

  componentDidMount() {
    addEventListener('hashchange', () => {
      this.setState({ route: route() });
      document.title = TITLES[route().screen];
    });
    document.addEventListener('visibilitychange', this.follow);
    onKeyNeeded(() => this.setState({ needsKey: true }));
    document.title = TITLES[route().screen];
    this.follow();
  }

  /** A page that nobody sees costs nothing. */
  follow = () => {
    this.following?.abort();
    if (document.visibilityState !== 'visible' || this.state.needsKey) return;
    this.following = new AbortController();
    const onEvent = (name, overview) => name === 'overview' && this.setState({ overview });
    const onState = (connection, error = null) => this.setState({ connection, error });
    events('/overview/stream', onEvent, onState, this.following.signal);
  };

  login = (event) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    keepKey(given.get('name').trim(), given.get('key'));
    this.setState({ needsKey: false }, this.follow);
  };

  render(_, { route, overview, connection, error, needsKey }) {
    return html`
      <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById('main').focus(); }}>To the content</a>
      <header>
        <a class="brand" href="#/"><img src="/page/icon.svg" alt="" width="26" height="26" /><span>Sockeye</span></a>
        <nav aria-label="Screens">${LINKS.map(([href, label, screens]) => html`<a href=${href}
          aria-current=${screens.includes(route.screen) ? 'page' : undefined}>${label}</a>`)}</nav>
        <${Connection} connection=${connection} overview=${overview} />
      </header>
      <main id="main" tabindex="-1">${needsKey ? html`<${Login} onSubmit=${this.login} />`
        : connection === 'refused' ? html`<p class="card fault" role="alert">${error.message}</p>`
        : route.screen === 'overview' ? html`<${Overview} overview=${overview} />`
        : route.screen === 'sessions' ? html`<${Sessions} query=${route.query} />`
        : html`<${Session} key=${route.id} id=${route.id} />`}</main>`;
  }
}

function Connection({ connection, overview }) {
  const level = connection === 'live' ? 'ok' : 'bad';
  const text = connection === 'live' ? 'live' : 'no connection';
  const since = connection !== 'live' && overview !== null ? `, as of ${duration(Date.now() / 1000 - overview.at)} ago` : '';
  return html`<p class=${`connection state ${level}`}><span class="mark" aria-hidden="true">${level === 'ok' ? '●' : '■'}</span>${text}${since}</p>`;
}

function Login({ onSubmit }) {
  return html`<form class="card login" onSubmit=${onSubmit}>
    <h1>Who are you?</h1>
    <p class="quiet">This process shows its state to those with a key, or with a name and password. They stay in this tab.</p>
    <label>Name <span class="quiet">(empty for a key)</span><input name="name" autocomplete="username" autocapitalize="off" spellcheck=${false} /></label>
    <label>Key or password<input name="key" type="password" autocomplete="current-password" required /></label>
    <button class="main">Open</button>
  </form>`;
}

/** From the part of the address behind `#`. */
function route() {
  const [path, query = ''] = location.hash.replace(/^#/, '').split('?');
  const [, screen, id] = path.split('/');
  if (screen !== 'sessions') return { screen: 'overview' };
  return id ? { screen: 'session', id: encodeURIComponent(id) } : { screen: 'sessions', query };
}

const LINKS = [['#/', 'Overview', ['overview']], ['#/sessions', 'Sessions', ['sessions', 'session']]];

const TITLES = { overview: 'Sockeye', sessions: 'Sessions – Sockeye', session: 'Session – Sockeye' };

render(html`<${App} />`, document.getElementById('app'));
