/** Requests to the process that serves this page. */

const KEY = 'sockeye-key';

/** Called when the process asks for a key. */
let askForKey = () => {};

export function onKeyNeeded(ask) {
  askForKey = ask;
}

/** Keeps the key for this tab. With a name it is a password. */
export function keepKey(name, key) {
  const words = new TextEncoder().encode(`${name}:${key}`);
  const value = name === '' ? `Bearer ${key}` : `Basic ${btoa(String.fromCharCode(...words))}`;
  sessionStorage.setItem(KEY, value);
}

function fields() {
  const key = sessionStorage.getItem(KEY);
  return { 'X-Sockeye': '1', ...(key === null ? {} : { Authorization: key }) };
}

/** The body of an answer: of a refusal an Error with its sentence and its status. */
async function read(answer) {
  if (answer.status === 401) askForKey();
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  throw Object.assign(new Error(body.error ?? `status ${answer.status}`), { status: answer.status });
}

export async function get(path, signal) {
  return read(await fetch(path, { headers: fields(), signal }));
}

export async function post(path) {
  return read(await fetch(path, { method: 'POST', headers: fields() }));
}

/**
 * Reads the events at `path` until `signal` says to stop. Connects again when the stream ends, except
 * after a refusal.
 *
 * @param {(name: string, data: any) => void} onEvent
 * @param {(state: 'live' | 'waiting' | 'refused', error?: Error) => void} onState
 */
export async function events(path, onEvent, onState, signal) {
  for (let failures = 0; !signal.aborted; failures += 1) {
    try {
      const answer = await fetch(path, { headers: { ...fields(), Accept: 'text/event-stream' }, signal });
      if (!answer.ok) await read(answer);
      failures = 0;
      onState('live');
      await readEvents(answer.body.getReader(), onEvent);
    } catch (error) {
      if (signal.aborted) return;
      if (error.status !== undefined && error.status < 500) return onState('refused', error);
      onState('waiting', error);
    }
    if (!signal.aborted) onState('waiting');
    await pause(Math.min(5000, 500 * 2 ** failures), signal);
  }
}

async function readEvents(reader, onEvent) {
  const decoder = new TextDecoder();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += decoder.decode(value, { stream: true });
    const parts = text.split('\n\n');
    text = parts.pop();
    for (const part of parts) {
      const [, name] = part.match(/^event: (.*)$/m) ?? [];
      const [, data] = part.match(/^data: (.*)$/m) ?? [];
      if (name !== undefined && data !== undefined) onEvent(name, JSON.parse(data));
    }
  }
}

function pause(millis, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, millis);
    signal.addEventListener('abort', () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}
