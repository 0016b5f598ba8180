import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { readEnvironment } from './environment.js';
import { resolveSecrets } from './secrets.js';

const complete = {
  NODE_ENV: 'production',
  SHUNT_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
  SHUNT_SESSION_SECRET: randomBytes(32).toString('base64'),
  SHUNT_SIGNING_KEY: generateKeyPairSync('ed25519')
    .privateKey.export({ format: 'pem', type: 'pkcs8' })
    .toString(),
  SHUNT_ADMIN_SECRET: randomBytes(24).toString('base64'),
  SHUNT_ADMIN_TOTP_SECRET: 'JBSWY3DPEHPK3PXP',
};

describe('the secrets of an installation', () => {
  it('are taken as they are given', () => {
    const secrets = resolveSecrets(readEnvironment(complete));
    expect(secrets.adminSecret).toBe(complete.SHUNT_ADMIN_SECRET);
  });

  it.each([
    ['SHUNT_SESSION_SECRET', 'x'],
    ['SHUNT_ADMIN_SECRET', 'short'],
    ['SHUNT_ADMIN_TOTP_SECRET', 'not base32!'],
    ['SHUNT_SIGNING_KEY', 'no key'],
  ])(
    'stop the start where %s has not its form, and say which, and never what it was',
    (name, value) => {
      const start = () => resolveSecrets(readEnvironment({ ...complete, [name]: value }));
      expect(start).toThrow(name);
      expect(start).not.toThrow(value);
    },
  );
});
