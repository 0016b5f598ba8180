import type { Server } from 'node:http';
import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Pool } from 'undici';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { EventStreamReader } from '../../../src/gateway/answer/event-stream-reader.js';
import { JsonBodyReader } from '../../../src/gateway/answer/json-body-reader.js';
import { GatewayMetrics } from '../../../src/gateway/gateway.metrics.js';
import { Upstreams } from '../../../src/gateway/upstreams.js';
import { PrincipalDirectory } from '../../../src/modules/api-keys/principal-directory.js';
import { PriceBook } from '../../../src/modules/catalog/price-book.js';
import { LocalRequestLimiter } from '../../../src/modules/limits/local-request-limiter.js';
import { ProviderKeyService } from '../../../src/modules/provider-keys/provider-key.service.js';
import { CallRecorder } from '../../../src/modules/records/call-recorder.js';
import { RequestLog } from '../../../src/modules/records/request-log.js';
import { TokenEstimator } from '../../../src/modules/tokenizer/token-estimator.js';
import { huntFiles, huntTables, LeakHunt, randomUnit } from '../../support/leak-hunt.js';
import { Carrier, inventedKeys, recordsOf } from './carrier.js';
import { call } from './call.js';
import type { Manner } from './mouthpiece.js';
import { requestOf } from './requests.js';
import { proseOf, type Caller } from './scenarios.js';
import { startTargetHere } from './target.js';

/** A part of the gateway that throws, with the prompt in the error's message and everywhere else in the error. */
interface Fault {
  readonly name: string;
  readonly of: object | 'accountant';
  readonly method: string;
  readonly manner?: Manner;
  readonly caller?: Caller;
  readonly rejects?: boolean;
  /** Each time, and not once only. */
  readonly always?: boolean;
  readonly status: number;
  /** Null where the caller is not known yet. */
  readonly outcomes: readonly string[] | null;
}

const FAULTS: readonly Fault[] = [
  { name: 'the look-up of the key', of: PrincipalDirectory.prototype, method: 'find', status: 500, outcomes: null },
  { name: 'the look-up of the key, later', of: PrincipalDirectory.prototype, method: 'find', rejects: true, status: 500, outcomes: null },
  { name: 'the limiter', of: LocalRequestLimiter.prototype, method: 'take', status: 500, outcomes: ['refused'] },
  { name: 'the opening of the provider key', of: ProviderKeyService.prototype, method: 'open', status: 500, outcomes: ['refused'] },
  { name: 'the choice of the upstream', of: Upstreams.prototype, method: 'of', status: 500, outcomes: ['refused'] },
  { name: 'the start of the record', of: CallRecorder.prototype, method: 'start', status: 500, outcomes: ['refused'] },
  { name: 'the sending', of: Pool.prototype, method: 'dispatch', status: 500, outcomes: ['upstream_failed', 'refused'] },
  { name: 'the reading of an answer', of: JsonBodyReader.prototype, method: 'findings', status: 200, outcomes: ['completed'] },
  { name: 'the reading of a piece of a stream', of: EventStreamReader.prototype, method: 'feed', manner: 'streams', caller: 'strict', status: 200, outcomes: ['completed', 'truncated'] },
  { name: 'the reading of a stream at its end', of: EventStreamReader.prototype, method: 'findings', manner: 'streams', status: 200, outcomes: ['completed', 'truncated'] },
  { name: 'the counting', of: GatewayMetrics.prototype, method: 'ended', status: 200, outcomes: ['completed'] },
  { name: 'the pricing', of: PriceBook.prototype, method: 'rate', status: 200, outcomes: ['completed'] },
  { name: 'the pricing of a stream', of: PriceBook.prototype, method: 'rate', manner: 'streams', status: 200, outcomes: ['completed'] },
  { name: 'the shadow, while the provider works', of: 'accountant', method: 'shadow', status: 200, outcomes: ['completed'] },
  { name: 'the shadow, always', of: 'accountant', method: 'shadow', always: true, status: 200, outcomes: ['completed'] },
  { name: 'the estimate', of: TokenEstimator.prototype, method: 'estimate', manner: 'streams without usage', caller: 'strict', status: 200, outcomes: ['completed'] },
]; // prettier-ignore

const POLLING = { timeout: 10_000, interval: 20 };

let carrier: Carrier;
let server: Server;

beforeAll(async () => {
  const created = vi.spyOn(NestFactory, 'create');
  carrier = await Carrier.start(inventedKeys(), (env) => startTargetHere(env, {}));
  const [nest] = created.mock.settledResults.map(({ value }) => value as INestApplication);
  server = nest!.getHttpServer() as Server;
});
afterEach(() => vi.restoreAllMocks());
afterAll(() => carrier?.stop());

function connections(): Promise<number> {
  return new Promise((resolve) => {
    server.getConnections((_error, count) => resolve(count));
  });
}

function faulty({ of, method, rejects, always }: Fault, unit: string): void {
  const { accountant } = carrier.target.gateway!.app.engine;
  const owner = of === 'accountant' ? (Reflect.get(accountant, 'parts') as object) : of;
  const spy = vi.spyOn(owner as Record<string, (...args: unknown[]) => unknown>, method);
  const fail = (): Promise<never> => {
    const quoting = { detail: unit, query: unit, parameters: [unit], cause: new Error(unit) };
    const error = Object.assign(new Error(proseOf(unit)), quoting);
    if (rejects) return Promise.reject(error);
    throw error;
  };
  if (always) spy.mockImplementation(fail);
  else spy.mockImplementationOnce(fail);
}

describe('a fault of its own is answered, recorded and told without the prompt it quotes:', () => {
  test.each(FAULTS)('$name', { timeout: 20_000 }, async (fault) => {
    const { name, status, outcomes, manner = 'answers', caller = 'usual' } = fault;
    const before = carrier.target.output().length;
    await carrier.callAs(carrier.keyOf(caller === 'nobody' ? 'usual' : caller), '/v1/models');
    const answered = await carrier.play({
      name,
      caller,
      manner,
      dialect: 'openai chat',
      statuses: [status],
      outcomes,
      sent: (unit) => {
        faulty(fault, unit);
        const { path, body } = requestOf('openai chat', proseOf(unit), manner !== 'answers');
        return { path, body: JSON.stringify(body) };
      },
    });
    expect(answered.status).toBe(status);
    // Its answer is whole, whatever it was that failed.
    if (status === 200) expect(answered.body).toContain(carrier.needles.at(-1)?.text);
    const records = await carrier.records();
    const found = recordsOf(carrier.played.at(-1)!, records);
    if (outcomes === null) expect(found).toEqual([]);
    else expect(outcomes).toContain(found[0]?.outcome);
    expect(found.length).toBeLessThan(2);
    expect(carrier.target.output().slice(before)).toContain(answered.requestId);
  });

  test('a read of the application API', async () => {
    const unit = randomUnit();
    carrier.needles.push({ name: 'a read of the application API', text: unit, repeated: true });
    const fault = { name: '', of: RequestLog.prototype, method: 'recent', rejects: true };
    faulty({ ...fault, status: 500, outcomes: null }, unit);
    const answered = await carrier.callAs(carrier.keyOf('usual'), '/shunt/v1/requests');
    expect(answered.status).toBe(500);
    expect(answered.body).not.toContain(unit);
    expect(carrier.target.output()).toMatch(/"err":\{"name":"Error","at":\["at /);
  });
});

test('a client that goes away while its key is looked up has one record, and holds up no shutdown', async () => {
  const { principals, accountant } = carrier.target.gateway!.app.engine;
  const found = await principals.find(carrier.keyOf('usual'));
  const before = (await carrier.records()).length;
  let lookedUp: () => void = () => undefined;
  const asked = new Promise<void>((resolve) => {
    vi.spyOn(PrincipalDirectory.prototype, 'find').mockImplementationOnce(() => {
      resolve();
      return new Promise((answer) => {
        lookedUp = () => answer(found);
      });
    });
  });
  const sent = call(carrier.target.origin, {
    path: '/v1/chat/completions',
    headers: { authorization: 'Bearer any-key-at-all', connection: 'close' },
    body: '{"model":"gpt-5.4","messages":[]}',
    abandon: 'at once',
  });
  await Promise.all([asked, sent]);
  await vi.waitFor(async () => expect(await connections()).toBe(0), POLLING);
  lookedUp();
  await vi.waitFor(async () => expect(await carrier.records()).toHaveLength(before + 1), POLLING);
  expect((await carrier.records()).at(-1)).toMatchObject({ outcome: 'client_aborted' });
  expect(Reflect.get(accountant, 'inFlight')).toBe(0);
});

test('none of it was left anywhere', { timeout: 120_000 }, async () => {
  const hunt = new LeakHunt(carrier.needles);
  const { output, logins, encryptionKeys } = carrier.target;
  hunt.text('the output', output());
  await huntTables(hunt, logins.superuserUrl);
  huntFiles(hunt, logins.directories, encryptionKeys);
  expect(hunt.hits).toEqual([]);
});
