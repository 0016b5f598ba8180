import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { ConfigError, type Environment } from './environment.js';

/** The secrets of an installation, in the form their variables take. */
export interface Secrets {
  readonly encryptionKey: string;
  readonly sessionSecret: string;
  readonly signingKey: string;
  readonly adminSecret: string;
  readonly adminTotpSecret: string;
}

const VARIABLES: Readonly<Record<keyof Secrets, keyof Environment>> = {
  encryptionKey: 'SHUNT_ENCRYPTION_KEY',
  sessionSecret: 'SHUNT_SESSION_SECRET',
  signingKey: 'SHUNT_SIGNING_KEY',
  adminSecret: 'SHUNT_ADMIN_SECRET',
  adminTotpSecret: 'SHUNT_ADMIN_TOTP_SECRET',
};

const GENERATORS: Readonly<Record<keyof Secrets, () => string>> = {
  encryptionKey: () => randomBytes(32).toString('base64'),
  sessionSecret: () => randomBytes(32).toString('base64'),
  signingKey: () =>
    generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
  adminSecret: () => randomBytes(24).toString('base64url'),
  adminTotpSecret: () => base32(randomBytes(20)),
};

/** Takes each secret from the environment; in development what is absent is generated once and kept (0600). */
export function resolveSecrets(env: Environment): Secrets {
  const names = Object.keys(VARIABLES) as (keyof Secrets)[];
  const absent = names.filter((name) => env[VARIABLES[name]] === undefined);
  if (absent.length > 0 && env.NODE_ENV === 'production') {
    const list = absent.map((name) => VARIABLES[name]).join(', ');
    throw new ConfigError(`Production needs ${list}. README.md says how to make each of them.`);
  }
  const kept = absent.length > 0 ? keptSecrets(env.SHUNT_DATA_DIR, absent) : {};
  const entries = names.map((name) => [name, env[VARIABLES[name]] ?? kept[name]]);
  const secrets = Object.fromEntries(entries) as unknown as Secrets;
  for (const name of names) checkForm(name, secrets[name]);
  return secrets;
}

const SECRET_CHARS_MIN = 16;

/** The form of each secret; the encryption key's is checked where its bytes are taken. */
const FORMS: Readonly<
  Partial<Record<keyof Secrets, [isUsable: (secret: string) => boolean, form: string]>>
> = {
  sessionSecret: [isLong, `at least ${SECRET_CHARS_MIN} characters: openssl rand -base64 32`],
  adminSecret: [isLong, `at least ${SECRET_CHARS_MIN} characters: openssl rand -base64 24`],
  adminTotpSecret: [
    (secret) => /^[A-Z2-7]{16,}=*$/.test(secret),
    'base32, at least 16 characters: openssl rand 20 | base32',
  ],
  signingKey: [isEd25519, 'an Ed25519 private key in PEM: openssl genpkey -algorithm ed25519'],
};

function checkForm(name: keyof Secrets, secret: string): void {
  const [isUsable, form] = FORMS[name] ?? [() => true, ''];
  if (!isUsable(secret)) throw new ConfigError(`${VARIABLES[name]} must be ${form}`);
}

function isLong(secret: string): boolean {
  return secret.length >= SECRET_CHARS_MIN;
}

function isEd25519(pem: string): boolean {
  try {
    return createPrivateKey(pem).asymmetricKeyType === 'ed25519';
  } catch {
    return false;
  }
}

type Kept = Partial<Record<keyof Secrets, string>>;

function keptSecrets(dataDir: string, absent: readonly (keyof Secrets)[]): Kept {
  const file = path.join(dataDir, 'secrets.json');
  const kept = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Kept) : null;
  const missing = absent.filter((name) => kept?.[name] === undefined);
  if (kept !== null && missing.length === 0) return kept;
  const made = Object.fromEntries(missing.map((name) => [name, GENERATORS[name]()]));
  const all = { ...kept, ...made };
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  // Of several processes that start at once one makes the file, and the others take what is in it.
  return place(file, all, kept !== null) ? all : keptSecrets(dataDir, absent);
}

/** Complete or absent, whenever the process dies; false where another process was faster. */
function place(file: string, secrets: Kept, replaces: boolean): boolean {
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  writeFileSync(draft, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
  try {
    if (replaces) renameSync(draft, file);
    else linkSync(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** RFC 4648 base32 without padding, the form that authenticator apps take. */
function base32(bytes: Buffer): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return (bits.match(/.{5}/g) ?? []).map((five) => alphabet[Number.parseInt(five, 2)]).join('');
}
