import { generate } from 'otplib';
import { expect, test } from 'vitest';
import { newTotpSecret, totpStep, totpUri } from './totp.js';

test('a code works once: not again with its own step as the last one', async () => {
  const secret = newTotpSecret();
  const code = await generate({ secret });
  const step = await totpStep(secret, code, 0);
  expect(step).toBeGreaterThan(0);
  expect(await totpStep(secret, code, step!)).toBeNull();
  expect(await totpStep(secret, code, step! + 1_000)).toBeNull();
});

test('a wrong, short, long or empty code is refused and throws nothing', async () => {
  const secret = newTotpSecret();
  const code = await generate({ secret });
  const wrong = code === '000000' ? '000001' : '000000';
  for (const bad of ['', '1', code.slice(1), `${code}0`, wrong, 'abcdef', ` ${code}`]) {
    expect(await totpStep(secret, bad, 0), bad).toBeNull();
  }
});

test('the address for the app names the issuer and the label', () => {
  expect(totpUri('operator', 'JBSWY3DPEHPK3PXP')).toMatch(
    /^otpauth:\/\/totp\/Shunt:operator\?secret=JBSWY3DPEHPK3PXP/,
  );
});
