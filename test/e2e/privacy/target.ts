import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { UpstreamLimits } from '../../../src/gateway/stages/forward.js';
import { SecretBox, type EncryptionKeys } from '../../../src/platform/crypto/secret-box.js';
import { embeddedLogins, type EmbeddedLogins } from '../../support/embedded-logins.js';
import { PROJECT_KEY, startGateway, type TestGateway } from '../../support/gateway.js';
import { startShunt } from '../../support/shunt-process.js';

/** A running Shunt, and everything that it leaves behind. */
export interface Target {
  readonly origin: string;
  readonly projectKey: string;
  readonly encryptionKeys: EncryptionKeys;
  readonly secretBox: SecretBox;
  readonly logins: EmbeddedLogins;
  /** Null where it is a process of its own. */
  readonly gateway: TestGateway | null;
  /** Null where it is this process. */
  readonly child: ChildProcess | null;
  /** Log lines, console output and process warnings so far. */
  output(): string;
  /** Ends it and leaves its files. */
  end(): Promise<void>;
  /** Ends it and removes its files. */
  stop(): Promise<void>;
}

export type Environment = Readonly<Record<string, string>>;

export async function startTargetHere(
  env: Environment,
  limits: Partial<UpstreamLimits>,
): Promise<Target> {
  const console = captureConsole();
  const gateway = await startGateway({ env: { LOG_LEVEL: 'trace', ...env }, limits });
  const { encryptionKeys } = gateway.app.engine.config;
  const end = once(() => gateway.app.stop());
  return {
    origin: gateway.origin,
    projectKey: gateway.projectKey,
    encryptionKeys,
    secretBox: new SecretBox(encryptionKeys),
    logins: embeddedLogins(gateway.dataDir),
    gateway,
    child: null,
    output: () => gateway.logs() + console.captured(),
    end,
    async stop() {
      await end();
      console.release();
      removeAll(gateway.dataDir);
    },
  };
}

export async function startTargetProcess(env: Environment): Promise<Target> {
  const dataDir = mkdtempSync(path.join(tmpdir(), 'shunt-e2e-'));
  const variables = {
    LOG_LEVEL: 'trace',
    SHUNT_DATA_DIR: dataDir,
    SHUNT_BOOTSTRAP_PROJECT_KEY: PROJECT_KEY,
    SHUNT_BOOTSTRAP_EMAIL: 'owner@example.test',
    ...env,
  };
  // The first start prints the keys that it makes, once: what comes after it prints none.
  const first = await startShunt(variables);
  await first.end();
  const shunt = await startShunt(variables);
  const { encryptionKey } = JSON.parse(
    readFileSync(path.join(dataDir, 'secrets.json'), 'utf8'),
  ) as { encryptionKey: string };
  const encryptionKeys = { current: Buffer.from(encryptionKey, 'base64'), previous: null };
  const end = once(async () => void (await shunt.end()));
  return {
    origin: shunt.origin,
    projectKey: variables.SHUNT_BOOTSTRAP_PROJECT_KEY,
    encryptionKeys,
    secretBox: new SecretBox(encryptionKeys),
    logins: embeddedLogins(dataDir),
    gateway: null,
    child: shunt.child,
    output: shunt.output,
    end,
    async stop() {
      await end();
      removeAll(dataDir);
    },
  };
}

function once(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | null = null;
  return () => (running ??= work());
}

function removeAll(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
}

/** What this process writes to its console, warnings of Node included. */
function captureConsole(): { captured(): string; release(): void } {
  const pieces: string[] = [];
  const streams = [process.stdout, process.stderr];
  const originals = streams.map((stream) => stream.write.bind(stream));
  streams.forEach((stream, at) => {
    stream.write = ((chunk: string | Uint8Array, ...rest: []) => {
      pieces.push(typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString());
      return originals[at]!(chunk, ...rest);
    }) as typeof stream.write;
  });
  return {
    captured: () => pieces.join(''),
    release: () => streams.forEach((stream, at) => (stream.write = originals[at]!)),
  };
}
