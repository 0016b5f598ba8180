import { randomUUID } from 'node:crypto';
import { WIRES, type Application, type Turn } from './applications.js';
import type { Installation } from './installation.js';
import type { Prompts } from './prompts.js';
import { must, type Screen } from './screen.js';

const SESSIONS_AT_ONCE = 8;
const CALL_MS_MAX = 30_000;

/** An application that has its project and its key. */
export interface Running extends Application {
  readonly projectId: string;
  readonly key: string;
}

/** What Shunt said of one answer in its headers. */
export interface Answered {
  readonly status: number;
  readonly requestId: string;
  readonly decision: string;
  readonly requested: string;
  readonly served: string;
  readonly text: string;
}

export interface Stage {
  readonly installation: Installation;
  readonly prompts: Prompts;
  readonly screen: Screen;
  readonly signal: AbortSignal;
}

/** One call, as the application's SDK writes it. */
export async function call(
  { installation, signal }: Stage,
  application: Running,
  turns: readonly Turn[],
  headers: Readonly<Record<string, string>> = {},
): Promise<Answered> {
  const wire = WIRES[application.wire];
  const { path, headers: own, body } = wire.call(application, application.key, turns);
  const answer = await fetch(installation.origin + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...own, ...headers },
    body: JSON.stringify(body),
    signal: AbortSignal.any([signal, AbortSignal.timeout(CALL_MS_MAX)]),
  });
  const said = (name: string): string => answer.headers.get(`x-shunt-${name}`) ?? '';
  must(said('synthetic') === 'true', 'an answer that is not marked as synthetic: refused');
  const isJson = /json/.test(answer.headers.get('content-type') ?? '');
  const text = await answer.text();
  return {
    status: answer.status,
    requestId: said('request-id'),
    decision: said('decision'),
    requested: said('requested-model'),
    served: said('served-model'),
    text: isJson && answer.ok ? wire.textOf(JSON.parse(text)) : '',
  };
}

/** A single call with a session of its own. */
export function ask(
  stage: Stage,
  application: Running,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answered> {
  const turns: Turn[] = [{ role: 'user', text: stage.prompts.next() }];
  return call(stage, application, turns, { 'x-shunt-session-id': randomUUID(), ...headers });
}

/** Sessions of all applications in turn, some at once, until so many calls were made. */
export async function converse(
  stage: Stage,
  applications: readonly Running[],
  calls: number,
): Promise<Answered[]> {
  const answers: Answered[] = [];
  const { screen, signal } = stage;
  let begun = 0;
  let sessions = 0;
  const work = async (): Promise<void> => {
    while (begun < calls) {
      signal.throwIfAborted();
      const number = sessions++;
      const application = applications[number % applications.length]!;
      const [from, to] = application.turns;
      const length = Math.min(from + (number % (to - from + 1)), calls - begun);
      begun += length;
      for await (const answer of session(stage, application, length)) {
        answers.push(answer);
        screen.progress(`${answers.length} of ${calls} calls`);
      }
    }
  };
  await Promise.all(Array.from({ length: SESSIONS_AT_ONCE }, work));
  screen.endProgress();
  return answers;
}

async function* session(
  stage: Stage,
  application: Running,
  length: number,
): AsyncGenerator<Answered> {
  const headers = { 'x-shunt-session-id': randomUUID() };
  const turns: Turn[] = [];
  for (let turn = 0; turn < length; turn += 1) {
    turns.push({ role: 'user', text: stage.prompts.next() });
    const answer = await call(stage, application, turns, headers);
    must(answer.status === 200, `${application.name}: a call answered ${answer.status}`);
    turns.push({ role: 'assistant', text: answer.text || 'Done.' });
    yield answer;
  }
}
