/** Small parts that several screens use. */

import { Component, h } from '/page/vendor/preact.mjs';
import htm from '/page/vendor/htm.mjs';

export const html = htm.bind(h);
export { Component };

const STATES = {
  up: 'ok', starting: 'ok', full: 'warn', unreachable: 'bad', ejected: 'bad', unhealthy: 'bad', dead: 'bad',
  draining: 'busy', drained: 'busy',
};

/** A node's state: a mark and the word, so that no meaning is in colour alone. */
export function State({ state }) {
  const level = STATES[state] ?? 'warn';
  return html`<span class=${`state ${level}`}><span class="mark" aria-hidden="true">${MARKS[level]}</span>${state}</span>`;
}

const MARKS = { ok: '●', warn: '▲', bad: '■', busy: '◐' };

/** Who ended something. */
export function By({ by }) {
  return html`<span class=${`by by-${by}`}>${by}</span>`;
}

/** A button that asks once more before it does what cannot be undone. */
export class Order extends Component {
  constructor() {
    super();
    this.state = { isAsking: false, isBusy: false, error: null };
  }

  run = async () => {
    this.setState({ isBusy: true, error: null });
    try {
      await this.props.order();
      this.setState({ isAsking: false, isBusy: false });
    } catch (error) {
      this.setState({ isAsking: false, isBusy: false, error: error.message });
    }
  };

  render({ label, title, question, children }, { isAsking, isBusy, error }) {
    if (isAsking) {
      const cancel = () => this.setState({ isAsking: false });
      const onKeyDown = (event) => event.key === 'Escape' && cancel();
      return html`<span class="order" role="group" aria-label=${question} onKeyDown=${onKeyDown}>
        <button class="sure" disabled=${isBusy} onClick=${this.run} ref=${focus}>${question}</button>
        <button disabled=${isBusy} onClick=${cancel}>Cancel</button>
      </span>`;
    }
    const begin = () => (question === undefined ? this.run() : this.setState({ isAsking: true, error: null }));
    return html`<span class="order">
      <button aria-label=${title} disabled=${isBusy} onClick=${begin}>${label ?? children}</button>
      ${error !== null && html`<span class="fault" role="alert">${error}</span>`}
    </span>`;
  }
}

function focus(element) {
  if (element !== null && !element.dataset.focused) {
    element.dataset.focused = 'yes';
    element.focus();
  }
}

/** A sentence in place of what cannot be shown. */
export function Nothing({ children }) {
  return html`<p class="nothing">${children}</p>`;
}

/** A time that a machine can read too. */
export function At({ seconds, shown }) {
  return html`<time dateTime=${new Date(seconds * 1000).toISOString()}>${shown}</time>`;
}
