import { expect, test } from 'vitest';
import { QueryError, isUnavailable, sqlStateOf, toQueryError } from './query-error.js';

const driverError = (code: string | undefined, message: string): Error =>
  Object.assign(new Error(message), { code, query: 'SELECT $1', parameters: ['content'] });

test('an error keeps neither statement nor parameters, nor a message that can quote a value', () => {
  const error = toQueryError(driverError('22P02', 'invalid input syntax for type uuid: "content"'));
  expect(error).toBeInstanceOf(QueryError);
  const { stack: _, ...fields } = error as QueryError;
  expect(JSON.stringify([fields, (error as Error).message])).not.toContain('content');
});

test('the name of a violated constraint is kept', () => {
  const error = Object.assign(driverError('23505', 'duplicate key'), { constraint: 'users_email' });
  expect(toQueryError(error)).toMatchObject({ code: '23505', constraint: 'users_email' });
});

test('a database that cannot answer is told from one that refuses', () => {
  for (const code of ['ECONNREFUSED', '57P01', '57P03', '53300', '08006', '57014', '25006']) {
    expect([code, isUnavailable(driverError(code, ''))]).toEqual([code, true]);
  }
  for (const message of ['Connection terminated unexpectedly', 'Query read timeout']) {
    expect(isUnavailable(driverError(undefined, message))).toBe(true);
  }
  for (const code of ['23505', '42501', '22P02', '40001']) {
    expect([code, isUnavailable(driverError(code, ''))]).toEqual([code, false]);
  }
  expect(isUnavailable(new Error('a bug'))).toBe(false);
});

test('an errno that looks like a SQLSTATE is not taken for one', () => {
  expect(sqlStateOf(driverError('EPIPE', ''))).toBeNull();
  expect(sqlStateOf(driverError('P0001', ''))).toBe('P0001');
  expect(sqlStateOf(null)).toBeNull();
});
