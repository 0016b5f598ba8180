import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readRequestFacts } from './request-facts.js';
import { inject, spliceModel, spliceModelInPath, rewritten } from './splice.js';

function factsOf(body: string | Buffer) {
  const result = readRequestFacts(Buffer.from(body), 'openai_chat');
  if (!result.ok) throw new Error(result.reason);
  return result.facts;
}

describe('splicing the model name', () => {
  it('changes the bytes of the top-level model and no other byte', () => {
    const rest = fc.dictionary(
      fc.string().filter((key) => key !== 'model'),
      fc.jsonValue(),
    );
    fc.assert(
      fc.property(
        rest,
        rest,
        fc.string({ minLength: 1 }),
        fc.string({ minLength: 1 }),
        (before, after, from, to) => {
          const text = JSON.stringify({ ...before, model: from, ...after });
          const body = Buffer.from(text);
          const { modelSpan } = factsOf(body);
          const spliced = spliceModel(body, modelSpan!, to);
          const tail = body.length - modelSpan!.end;
          expect(spliced.subarray(0, modelSpan!.start)).toEqual(body.subarray(0, modelSpan!.start));
          expect(spliced.subarray(spliced.length - tail)).toEqual(body.subarray(modelSpan!.end));
          expect(JSON.parse(spliced.toString())).toEqual({ ...JSON.parse(text), model: to });
        },
      ),
    );
  });

  it('leaves nested members of the same name, unicode escapes and a 1 MB body as they are', () => {
    const big = 'é\\u00e9"'.repeat(100_000);
    const body = Buffer.from(
      `{ "metadata":{"model":"inner"}, "model" : "gpt\\u002d5" ,"messages":${JSON.stringify([big])}}`,
    );
    const facts = factsOf(body);
    expect(facts.model).toBe('gpt-5');
    const spliced = spliceModel(body, facts.modelSpan!, 'other').toString();
    expect(spliced).toBe(body.toString().replace('"gpt\\u002d5"', '"other"'));
  });

  it('takes the last of two members, as parsers do, and says that the body is ambiguous', () => {
    const facts = factsOf('{"model":"a","model":"b"}');
    expect(facts).toMatchObject({ model: 'b', modelAmbiguous: true });
  });

  it('changes the model in a Google path only', () => {
    expect(
      spliceModelInPath('/v1beta/models/gemini-4-argon:streamGenerateContent', 'gemini-3.8-flash'),
    ).toBe('/v1beta/models/gemini-3.8-flash:streamGenerateContent');
  });
});

describe('asking for usage', () => {
  const injected = (body: string) => {
    const { injection } = factsOf(body);
    return injection === null ? null : inject(Buffer.from(body), injection).toString();
  };

  it('adds stream_options after the last member of a streamed chat, and keeps every other byte', () => {
    expect(injected('{"model":"m", "stream": true }\n')).toBe(
      '{"model":"m", "stream": true ,"stream_options":{"include_usage":true}}\n',
    );
  });

  it('adds include_usage to options that say nothing of it', () => {
    expect(
      injected('{"model":"m","stream":true,"stream_options":{"include_obfuscation":false}}'),
    ).toBe(
      '{"model":"m","stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}}',
    );
    expect(injected('{"model":"m","stream":true,"stream_options":{}}')).toBe(
      '{"model":"m","stream":true,"stream_options":{"include_usage":true}}',
    );
  });

  it.each([
    '{"model":"m"}',
    '{"model":"m","stream":false}',
    '{"model":"m","stream":true,"stream_options":{"include_usage":false}}',
    '{"model":"m","stream":true,"stream_options":{"include_usage":true}}',
    '{"model":"m","stream":true,"stream_options":null}',
  ])('leaves %s alone', (body) => {
    expect(injected(body)).toBeNull();
  });

  it('leaves streams of other formats alone', () => {
    const result = readRequestFacts(
      Buffer.from('{"model":"m","stream":true}'),
      'anthropic_messages',
    );
    expect(result.ok && result.facts).toMatchObject({ streamed: true, injection: null });
  });
});

describe('another model, and asking for usage', () => {
  it.each([
    [
      '{"model":"dear","stream":true}',
      '{"model":"cheaper","stream":true,"stream_options":{"include_usage":true}}',
    ],
    [
      '{"stream_options":{"x":1},"stream":true,"model":"dear"}',
      '{"stream_options":{"include_usage":true,"x":1},"stream":true,"model":"cheaper"}',
    ],
  ])('change %s in both places, whichever comes first', (body, expected) => {
    const { modelSpan, injection } = factsOf(body);
    const model = { span: modelSpan!, name: 'cheaper' };
    expect(rewritten(Buffer.from(body), model, injection)?.toString()).toBe(expected);
  });

  it('leave a body alone where neither is wanted', () => {
    expect(rewritten(Buffer.from('{"model":"dear"}'), null, null)).toBeNull();
  });
});
