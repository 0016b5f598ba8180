import { generate } from 'otplib';
import type { TestGateway } from './gateway.js';

export interface OperatorCredentials {
  readonly name?: string;
  readonly secret: string;
  readonly totpSecret: string;
}

export interface AdminAnswer<Body = Record<string, unknown>> {
  readonly status: number;
  readonly body: Body;
  readonly headers: Headers;
}

/** An operator with a session, as a script has one. */
export interface AdminClient {
  /** As sent: `shunt_admin=...`. */
  readonly cookie: string;
  /** `/organizations`, below `/admin/api`. A change carries the origin of the listener that it goes to. */
  call<Body = Record<string, unknown>>(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<AdminAnswer<Body>>;
}

/** The operator of the first start. */
export function firstOperator({ app }: TestGateway): OperatorCredentials {
  const { adminSecret, adminTotpSecret } = app.engine.config.secrets;
  return { name: 'operator', secret: adminSecret, totpSecret: adminTotpSecret };
}

export function adminOriginOf({ app }: TestGateway): string {
  return app.adminOrigin ?? app.origin;
}

/** A code works once, and another login may have used the one of now: what the server remembers is put back. */
export async function forgetCodes({ app }: TestGateway): Promise<void> {
  await app.engine.database.query('UPDATE operators SET totp_last_step = 0');
}

export async function codeOf({ totpSecret }: OperatorCredentials): Promise<string> {
  return generate({ secret: totpSecret });
}

export async function signInOperator(
  gateway: TestGateway,
  credentials: OperatorCredentials = firstOperator(gateway),
): Promise<AdminClient> {
  await forgetCodes(gateway);
  const origin = adminOriginOf(gateway);
  const { name, secret } = credentials;
  const totp = await codeOf(credentials);
  const answer = await adminCall(origin, 'POST', '/login', { body: { name, secret, totp } });
  if (answer.status !== 200) throw new Error(`login: ${answer.status}`);
  const [cookie = ''] = (answer.headers.get('set-cookie') ?? '').split(';');
  return {
    cookie,
    call: <Body>(method: string, path: string, body?: unknown) =>
      adminCall<Body>(origin, method, path, { cookie, body }),
  };
}

export interface AdminCall {
  readonly cookie?: string;
  readonly body?: unknown;
  /** Beside or instead of the usual ones. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A change carries the listener's own origin unless other headers say otherwise. */
export async function adminCall<Body = Record<string, unknown>>(
  origin: string,
  method: string,
  path: string,
  { cookie, body, headers }: AdminCall = {},
): Promise<AdminAnswer<Body>> {
  const answer = await fetch(`${origin}/admin/api${path}`, {
    method,
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(cookie === undefined ? {} : { cookie }),
      ...(headers ?? (method === 'GET' ? {} : { origin })),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  const parsed = (text === '' ? {} : JSON.parse(text)) as Body;
  return { status: answer.status, body: parsed, headers: answer.headers };
}
