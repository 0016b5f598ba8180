import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { createLogger, safeError, type Logger } from './logger.js';
import { NestLogger } from './nest-logger.js';

const SECRET = 'zq-secret-zq';

/** What a logger at level trace writes while `work` runs. */
function written(work: (logger: Logger) => void): string {
  const lines: string[] = [];
  const sink = new Writable({
    write(line: Buffer, _encoding, done) {
      lines.push(line.toString());
      done();
    },
  });
  work(createLogger('trace', sink));
  return lines.join('');
}

const entryOf = (text: string) => JSON.parse(text) as Record<string, Record<string, unknown>>;

test.each([
  'authorization',
  'cookie',
  'password',
  'secret',
  'token',
  'apiKey',
  'key',
  'body',
  'headers',
  'url',
  'parameters',
  'query',
])(
  'a field named %s is redacted, at the top of an entry, one level down and in a child',
  (field) => {
    const text = written((logger) => {
      logger.info({ [field]: SECRET }, 'top');
      logger.info({ request: { [field]: SECRET } }, 'below');
      logger.info({ [field]: { anything: SECRET } }, 'whole');
      logger.child({ [field]: SECRET }).info('child');
      logger.child({ request: { [field]: SECRET } }).info('child');
    });
    expect(text.trim().split('\n')).toHaveLength(5);
    expect(text).not.toContain(SECRET);
    expect(text.match(/\[redacted\]/g)).toHaveLength(5);
  },
);

test('an error is reduced to its name, its code and its place, however it comes to the logger', () => {
  const error = Object.assign(new TypeError(`no ${SECRET}`), {
    code: 'E_CODE',
    detail: SECRET,
    cause: new Error(SECRET),
  });
  const ways: ((logger: Logger) => void)[] = [
    (logger) => logger.error({ err: error }, 'said'),
    (logger) => logger.error({ err: safeError(error) }, 'said'),
    (logger) => logger.error({ error }, 'said'),
    (logger) => logger.error({ failure: error }, 'said'),
    (logger) => logger.error({ err: error }),
    (logger) => logger.error(error),
    (logger) => logger.error(error, 'said'),
    (logger) => logger.error({ failure: safeError(error) }, 'failed %s', error),
    (logger) => logger.child({ err: error }).error('said'),
    (logger) => new NestLogger(logger).error(error),
  ];
  for (const way of ways) {
    const text = written(way);
    expect(text).not.toContain(SECRET);
    const { err, error: other, failure } = entryOf(text);
    expect(err ?? other ?? failure).toEqual({
      name: 'TypeError',
      code: 'E_CODE',
      at: expect.arrayContaining([expect.stringContaining('logger.spec.ts')]),
    });
  }
});

test('what is thrown and is no error says only its type', () => {
  for (const thrown of [SECRET, { message: SECRET, stack: SECRET }, [SECRET], null, undefined]) {
    const text = written((logger) => logger.error({ err: safeError(thrown) }, 'said'));
    expect(text).not.toContain(SECRET);
    expect(entryOf(text)['err']).toEqual({ name: typeof thrown });
    expect(written((logger) => logger.error({ err: thrown }, 'said'))).not.toContain(SECRET);
  }
});

test('lines of a message that look like frames are not taken for the place', () => {
  const forged = `x\n    at ${SECRET} (/${SECRET}.js:1:1)`;
  expect(JSON.stringify(safeError(new Error(forged)))).not.toContain(SECRET);
  const changed = new Error(forged);
  expect(changed.stack).toContain(SECRET);
  changed.message = 'another';
  expect(safeError(changed)).toEqual({ name: 'Error', at: [] });
  expect(JSON.stringify(safeError(new Error('', { cause: SECRET })))).toContain('logger.spec.ts');
});

test('a parser that quotes what it failed on is not quoted', () => {
  try {
    JSON.parse(`{"prompt": ${SECRET}}`);
  } catch (error) {
    expect(String(error)).toContain('zq-secret');
    const text = written((logger) => logger.error({ err: error }, 'said'));
    expect(text).toContain('SyntaxError');
    expect(text).not.toMatch(/zq|secret/);
  }
  expect.assertions(3);
});

test("the framework's own words are logged, and nothing of an object that it gives", () => {
  const text = written((logger) => {
    const nest = new NestLogger(logger);
    nest.log('started');
    nest.warn({ body: SECRET, message: SECRET });
    nest.error(SECRET);
    nest.error({ message: SECRET });
  });
  expect(text).toContain('started');
  expect(text).not.toContain(SECRET);
});
