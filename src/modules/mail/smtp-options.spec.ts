import { expect, test } from 'vitest';
import { readSmtpUrl } from './smtp-options.js';

const requiresTls = (url: string, production = true): boolean =>
  readSmtpUrl(url, production).options.requireTLS === true;

test('production sends in the clear to this machine alone', () => {
  expect(requiresTls('smtp://mail.example.com')).toBe(true);
  expect(requiresTls('smtp://10.0.0.5:25')).toBe(true);
  expect(requiresTls('smtp://127.example.com')).toBe(true);
  for (const local of ['localhost:25', '127.0.0.1:1025', '127.8.8.8', '[::1]:25']) {
    expect(requiresTls(`smtp://${local}`), local).toBe(false);
  }
  expect(requiresTls('smtp://mail.example.com', false)).toBe(false);
});

test('the URL has the last word on it', () => {
  expect(requiresTls('smtp://mail.example.com?requireTLS=false')).toBe(false);
  expect(requiresTls('smtp://mail.example.com?ignoreTLS=true')).toBe(false);
  expect(requiresTls('smtp://mail.example.com?opportunisticTLS=true')).toBe(false);
  expect(requiresTls('smtp://127.0.0.1?requireTLS=true')).toBe(true);
});

test('smtps:// is TLS from the first byte, and the name on the certificate is the host', () => {
  const { options } = readSmtpUrl('smtps://mail.example.com', true);
  expect(options).toMatchObject({ secure: true, host: 'mail.example.com' });
  expect(options.tls).toMatchObject({ servername: 'mail.example.com', minVersion: 'TLSv1.2' });
});

test('name and password are read as they were meant', () => {
  expect(readSmtpUrl('smtp://us%40er:p%3Ass@mail.example.com:587', true)).toMatchObject({
    auth: { user: 'us@er', pass: 'p:ss' },
    options: { host: 'mail.example.com', port: 587 },
  });
  expect(readSmtpUrl('smtp://mail.example.com', true).auth).toBeNull();
});

test('nothing in the URL makes the library log what it sends', () => {
  const { options } = readSmtpUrl('smtp://h?logger=true&debug=true&transactionLog=true', true);
  expect(options).toMatchObject({ logger: false, debug: false, transactionLog: false });
});
