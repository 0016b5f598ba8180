import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { boundedText, joinParts, NO_TEXT } from './bounded-text.js';
import { FREE_TEXT, fold, messageTemplate } from './message-template.js';
import { routeClassOf, type RouteClassParts } from './route-class.js';

const template = (text: string): string => messageTemplate(boundedText(text, 256));

const PARTS: RouteClassParts = {
  orgId: 'org',
  projectId: 'project',
  provider: 'openai',
  kind: 'generation',
  system: boundedText('You sort support tickets. Today is 2026-11-20.', 256),
  tools: 'lookup(id,);',
  responseFormat: '',
  lastUserMessage: boundedText('Classify this ticket: my invoice is wrong', 256),
};
const classOf = (change: Partial<RouteClassParts>): string =>
  routeClassOf({ ...PARTS, ...change }, (text) => text);

describe('messageTemplate', () => {
  it.each([
    ['Classify this ticket: my invoice 4711 is wrong', 'Classify this ticket: where is my parcel?'],
    ['Translate to French:\n\nGood morning', 'Translate to French:\n\nSee you at 10'],
    ['Summarise the following\nA text.\nAnswer:', 'Summarise the following\nAnother one.\nAnswer:'],
    ['Invoice 12: paid?', 'Invoice 998: paid?'],
    ['Rate "a good film"', 'Rate "a bad one"'],
    ['How are you?', 'I would like to know more about steam engines'],
  ])('is the same for %j and %j', (one, other) => expect(template(one)).toBe(template(other)));

  it.each([
    ['Classify this ticket: x', 'Summarise this ticket: x'],
    ['Summarise\nx\nAnswer:', 'Summarise\nx\nTitle:'],
    ['Translate: x', 'I would like you to translate x'],
  ])('tells %j from %j', (one, other) => expect(template(one)).not.toBe(template(other)));

  it('makes no class of each message of a conversation', () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[a-z,.?!]{1,12}$/)), (words) => {
        expect(template(words.join(' '))).toBe(FREE_TEXT);
      }),
    );
  });

  it('reads a bounded part of any text, and gives a bounded one', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2_000 }), (text) => {
        expect(template(text).length).toBeLessThanOrEqual(700);
      }),
    );
  });
});

describe('fold', () => {
  it('keeps words and drops digits, quotations, long words, spaces and case', () => {
    expect(fold('  Ask “Ann” about\n ORDER-2231 at https://example.com/orders/2231?x=1 ')).toBe(
      'ask " about order-0 at _',
    );
  });
});

describe('routeClassOf', () => {
  it('is the same when only dates, numbers and what the instruction is applied to change', () => {
    const change = {
      system: boundedText('You sort support tickets. Today is 2026-12-01.', 256),
      lastUserMessage: boundedText('Classify this ticket: hello', 256),
    };
    expect(classOf(change)).toBe(classOf({}));
  });

  it.each<Partial<RouteClassParts>>([
    { orgId: 'other' },
    { projectId: 'other' },
    { provider: 'groq' },
    { kind: 'embedding' },
    { system: boundedText('You write poems.', 256) },
    { system: NO_TEXT },
    { tools: '' },
    { responseFormat: 'json_schema:ticket()' },
    { lastUserMessage: boundedText('Answer this ticket: hello', 256) },
  ])('differs with %o', (change) => expect(classOf(change)).not.toBe(classOf({})));
});

describe('joinParts', () => {
  it('gives different lists different strings', () => {
    const list = fc.array(fc.string({ maxLength: 6 }), { maxLength: 4 });
    fc.assert(
      fc.property(list, list, (one, other) => {
        const same = JSON.stringify(one) === JSON.stringify(other);
        expect(joinParts(one) === joinParts(other)).toBe(same);
      }),
    );
  });
});
