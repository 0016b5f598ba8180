import { parse } from 'node:querystring';
import { expect, test } from 'vitest';
import { placeOf, withSettings } from './connection-url.js';

test('settings are added to the options that a URL has already', () => {
  const url = withSettings('postgres://u:p@h:1/d?sslmode=require&options=-c%20geqo%3Doff', {
    role: 'shunt_runtime',
  });
  const { options, sslmode } = parse(new URL(url).search.slice(1));
  expect(options).toBe('-c geqo=off -c role=shunt_runtime');
  expect(sslmode).toBe('require');
});

test('the place in a message has no credentials', () => {
  expect(placeOf('postgres://user:hunter2@db.example:6432/shunt')).toBe('db.example:6432/shunt');
});
