import { createHmac } from 'node:crypto';
import { Paddle } from '@paddle/paddle-node-sdk';
import { expect, test } from 'vitest';
import { isSignedByPaddle, SIGNATURE_AGE_S_MAX, webhookSecrets } from './paddle-signature.js';

const SECRET = 'pdl_ntfset_current';
const body = '{"event_id":"evt_01a","event_type":"subscription.updated","data":{"name":"Zoë"}}';
const now = Math.floor(Date.now() / 1_000);
const h1 = (text: string, secret = SECRET, ts = now): string =>
  createHmac('sha256', secret).update(`${ts}:${text}`).digest('hex');

const verify = (header: string | undefined, rawBody = body, secrets = [SECRET]): boolean =>
  isSignedByPaddle({ header, rawBody: Buffer.from(rawBody) }, secrets, now * 1_000);

const good = h1(body);
const wrong = 'a'.repeat(64);

test("what the provider's own SDK takes for signed is taken", async () => {
  const header = `ts=${now};h1=${good}`;
  expect(await new Paddle('key').webhooks.isSignatureValid(body, SECRET, header)).toBe(true);
  expect(verify(header)).toBe(true);
});

test('while secrets are rotated any of the signatures, by any of the secrets, is enough', () => {
  expect(verify(`ts=${now};h1=${good};h1=${wrong}`)).toBe(true);
  expect(verify(`ts=${now};h1=${wrong};h1=${good}`)).toBe(true);
  const next = h1(body, 'pdl_ntfset_next');
  expect(verify(`ts=${now};h1=${next}`)).toBe(false);
  const secrets = webhookSecrets(` pdl_ntfset_next , ${SECRET},`);
  expect(secrets).toEqual(['pdl_ntfset_next', SECRET]);
  expect(verify(`ts=${now};h1=${next}`, body, secrets)).toBe(true);
  expect(verify(`ts=${now};h1=${good}`, body, secrets)).toBe(true);
});

test.each([
  ['none', undefined],
  ['an empty one', ''],
  ['no time', `h1=${good}`],
  ['no signature', `ts=${now}`],
  ['two times', `ts=${now};ts=${now};h1=${good}`],
  ['a time that is no number', `ts=${now}x;h1=${good}`],
  ['a time in hexadecimal', `ts=a${now};h1=${good}`],
  ['a wrong signature', `ts=${now};h1=${wrong}`],
  ['a part of the signature', `ts=${now};h1=${good.slice(0, 32)}`],
  ['more than the signature', `ts=${now};h1=${good}00`],
  ['another scheme', `ts=${now};h2=${good}`],
  ['a flood of signatures', `ts=${now}${`;h1=${wrong}`.repeat(60)};h1=${good}`],
  ["another time than the signature's", `ts=${now - 1};h1=${good}`],
  ['the signature of another secret', `ts=${now};h1=${h1(body, 'another')}`],
  ['the signature of another body', `ts=${now};h1=${h1(`${body} `)}`],
])('%s is refused', (_, header) => {
  expect(verify(header)).toBe(false);
});

test.each([0, 1, SIGNATURE_AGE_S_MAX])('%d s off, either way, is in time', (seconds) => {
  for (const ts of [now - seconds, now + seconds]) {
    expect(verify(`ts=${ts};h1=${h1(body, SECRET, ts)}`)).toBe(true);
  }
});

test.each([SIGNATURE_AGE_S_MAX + 1, 600, 86_400])('%d s off, either way, is refused', (seconds) => {
  for (const ts of [now - seconds, now + seconds]) {
    expect(verify(`ts=${ts};h1=${h1(body, SECRET, ts)}`)).toBe(false);
  }
});

test('without a secret nothing is signed', () => {
  expect(verify(`ts=${now};h1=${h1(body, '')}`, body, webhookSecrets(' , '))).toBe(false);
});
