import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAIL_KINDS, type MailKind } from '../outbox.js';
import { composeMail, type MailContent } from './compose-mail.js';
import { MailData, dollars, percent } from './mail-data.js';

const PUBLIC_URL = 'https://shunt.example.com';

function compose(
  kind: MailKind,
  changes: Partial<MailContent> = {},
  publicUrl: string | null = PUBLIC_URL,
) {
  return composeMail(
    {
      kind,
      data: {},
      organizationName: 'Acme',
      token: 't',
      expiresAtMs: 0,
      unsubscribeToken: 'u',
      ...changes,
    },
    publicUrl,
  );
}

/** Names as people who try things would choose them. */
const nasty = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.constantFrom(
    '<img src=x onerror=alert(1)>',
    '"><script>alert(1)</script>',
    '</title><a href="https://evil.example">x</a>',
    "' onmouseover='alert(1)",
    'x\r\nBcc: victim@example.com',
    'x\n\n<h1>hi</h1>',
    '\u202Egnp.exe\u2028\u0000',
    'javascript:alert(1)',
    'see https://evil.example/login now',
    '&lt;b&gt;',
  ),
);

/** Everything that is markup in a page, without what stands between. */
const tagsOf = (html: string): string[] =>
  (html.match(/<[^>]*>/g) ?? []).map((tag) => tag.replace(/reports\/[\w-]+"/, 'reports/id"'));

/** Every template says the most with it. */
const EVERYTHING = { calls: 1, report_id: 'id', audit_head: 'h', ends_at: 0 };

test('no name and no value brings markup, a header or a link into a mail', () => {
  const kinds = fc.constantFrom(...MAIL_KINDS);
  fc.assert(
    fc.property(kinds, nasty, nasty, (kind, organizationName, value) => {
      const data = {
        to: value, event: value, role: value, limit: value, audit_head: value,
        report_id: value, ends_at: value, calls: value, spend_nano_usd: value, period: { from: value, to: value },
      }; // prettier-ignore
      const mail = compose(kind, { organizationName, data });
      const unknown = new Set(tagsOf(mail.html));
      for (const most of [EVERYTHING, {}]) {
        for (const tag of tagsOf(compose(kind, { data: most }).html)) {
          unknown.delete(tag);
        }
      }
      // A paragraph more or less, but no tag that the template does not write.
      expect([...unknown]).toEqual([]);
      expect(mail.subject).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      expect([...mail.subject].length).toBeLessThanOrEqual(150);
      expect(mail.text).not.toMatch(/[^\P{Cc}\n]/u);
      const links = [...mail.html.matchAll(/href="([^"]*)"/g)].map((match) => match[1]);
      for (const link of links) expect(link?.startsWith(`${PUBLIC_URL}/`)).toBe(true);
      expect(mail.subject).not.toContain('://');
    }),
    { numRuns: 2_000 },
  );
});

test('dollars are exact, with thousands apart', () => {
  for (const [nanoUsd, said] of [
    [0n, '$0.00'],
    [12_340_000_000n, '$12.34'],
    [123_000n, '$0.000123'],
    [1n, '$0.000000001'],
    [1_234_567_890_000_000_000n, '$1,234,567,890.00'],
    [-1_234_500_000_000n, '-$1,234.50'],
    [999_999_999_999n, '$999.999999999'],
  ] as const) {
    expect(dollars(nanoUsd)).toBe(said);
  }
});

test('the dollars of a mail are those that were given, digit by digit', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(10n ** 25n), max: 10n ** 25n }), (amount) => {
      const said = dollars(amount);
      expect(said).toMatch(/^-?\$\d{1,3}(,\d{3})*\.\d{2,9}$/);
      const [whole = '', fraction = ''] = said.replace(/[$,-]/g, '').split('.');
      const read = BigInt(whole) * 10n ** 9n + BigInt(fraction.padEnd(9, '0'));
      expect(amount < 0n ? -read : read).toBe(amount);
    }),
  );
});

test('a share is said to one decimal, and not at all of nothing', () => {
  expect(percent(1n, 3n)).toBe('33.3 %');
  expect(percent(-1n, 3n)).toBe('-33.3 %');
  expect(percent(30n, 2n)).toBe('1,500.0 %');
  expect(percent(1n, 0n)).toBeNull();
});

test('what is missing or not of its form is not said', () => {
  const data = new MailData({
    a: '12x',
    b: 1.5,
    c: Number.NaN,
    d: '9007199254740993',
    e: {},
    f: 'x/../y',
  });
  for (const name of ['a', 'b', 'c', 'e', 'z']) expect(data.count(name), name).toBeNull();
  expect(data.count('d')).toBe('9,007,199,254,740,993');
  expect(data.id('f')).toBeNull();
  expect(data.day('e')).toBeNull();
  expect(compose('interim_report').text).not.toContain('Spend');
});

test('the trail is named where it is given', () => {
  const mail = compose('status_changed', {
    data: { to: 'active', auditSeq: 1_204, audit_head: 'h-1' },
  });
  expect(mail.text).toContain('Entry 1,204 of your audit trail tells of it.');
  expect(mail.text).toContain('to check it against later: h-1');
  expect(compose('conversion_report', { data: { audit_head: 'h-2' } }).html).toContain('h-2');
});

test('a suspended organization is told that its calls are refused, and no other status is', () => {
  for (const to of [
    'observing',
    'observation_ended',
    'active',
    'past_due',
    'canceled',
    'suspended',
  ]) {
    const { text } = compose('status_changed', { data: { to } });
    expect(text.includes('calls are refused'), to).toBe(to === 'suspended');
  }
});
