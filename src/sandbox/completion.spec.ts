import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { complete, type CompletionOrder } from './completion.js';
import { digestOf } from './fingerprint.js';
import { sampleOf } from './json-schema-sample.js';

const ORDER: CompletionOrder = {
  digest: digestOf('x'),
  directives: {},
  tokensMax: null,
  reasoningTokens: 0,
  tool: null,
  json: null,
  tokensPerDelta: 1,
};

const orders = fc.record({
  digest: fc.string().map((text) => digestOf(text)),
  directives: fc.record(
    {
      tokens: fc.integer({ min: 1, max: 300 }),
      chunks: fc.integer({ min: 1, max: 300 }),
      echo: fc.string({ minLength: 1, maxLength: 40 }),
    },
    { requiredKeys: [] },
  ),
  tokensMax: fc.option(fc.nat(400)),
  reasoningTokens: fc.constantFrom(0, 64),
  tool: fc.constant(null),
  json: fc.constantFrom(null, { schema: { type: 'object', properties: { a: { type: 'array' } } } }),
  tokensPerDelta: fc.integer({ min: 1, max: 8 }),
});

describe('complete', () => {
  test('equal orders have equal answers', () => {
    fc.assert(
      fc.property(orders, (order) => {
        expect(complete(order)).toEqual(complete(structuredClone(order)));
      }),
    );
  });

  test('the deltas add up to the text, and the output stays within its bound', () => {
    fc.assert(
      fc.property(orders, (order) => {
        const completion = complete(order);
        expect(completion.deltas.join('')).toBe(completion.text);
        expect(completion.outputTokens).toBeLessThanOrEqual(order.tokensMax ?? Infinity);
        expect(completion.outputTokens).toBeGreaterThanOrEqual(completion.reasoningTokens);
      }),
    );
  });

  test('a bound that the reasoning uses up leaves no text', () => {
    const completion = complete({ ...ORDER, tokensMax: 64, reasoningTokens: 64 });
    expect(completion).toMatchObject({ text: '', outputTokens: 64, truncated: true });
  });

  test('chunks decides the number of deltas', () => {
    expect(complete({ ...ORDER, directives: { chunks: 100 } }).deltas).toHaveLength(100);
    expect(complete({ ...ORDER, directives: { chunks: 3, tokens: 50 } }).deltas).toHaveLength(3);
  });
});

describe('sampleOf', () => {
  test('follows references, alternatives, constants, both spellings of types, and ends', () => {
    const schema = {
      type: 'OBJECT',
      properties: {
        kind: { enum: ['b', 'a'] },
        fixed: { const: 7 },
        either: { anyOf: [{ type: 'boolean' }, { type: 'string' }] },
        many: { type: ['array', 'null'], minItems: 2, items: { type: 'INTEGER', minimum: 3 } },
        self: { $ref: '#' },
        named: { $ref: '#/$defs/day' },
      },
      $defs: { day: { type: 'string', format: 'date' } },
    };
    expect(sampleOf(schema)).toMatchObject({
      kind: 'b',
      fixed: 7,
      either: true,
      many: [3, 3],
      named: '2026-01-15',
    });
    expect(sampleOf({ properties: { a: { $ref: '#/$defs/a' } }, $defs: { a: {} } })).toBeDefined();
  });

  test('any JSON at all in place of a schema gives JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (schema) => {
        expect(JSON.stringify(sampleOf(schema))).toBeTypeOf('string');
      }),
    );
  });

  test('a schema that refers to itself ends', () => {
    const schema = {
      $ref: '#/$defs/node',
      $defs: {
        node: {
          type: 'object',
          properties: { a: { $ref: '#/$defs/node' }, b: { $ref: '#/$defs/node' } },
        },
      },
    };
    expect(JSON.stringify(sampleOf(schema)).length).toBeLessThan(10_000);
  });
});
