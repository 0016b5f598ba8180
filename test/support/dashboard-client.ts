/** An answer of the dashboard's API. */
export interface DashboardAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The parsed body; null where there is none. */
  // oxlint-disable-next-line typescript/no-explicit-any -- a test looks into it as it likes
  readonly body: any;
}

export interface AskOptions {
  /** Added to the usual ones; null leaves a usual one (`origin`, `cookie`, `x-csrf-token`) out. */
  readonly headers?: Readonly<Record<string, string | null>>;
}

/** A browser at the dashboard: keeps cookies, sends its origin and the CSRF token with everything. */
export class DashboardClient {
  readonly cookies = new Map<string, string>();
  csrfToken = '';
  #organizationId: string | null = null;

  constructor(
    readonly origin: string,
    /** Sent with every request, such as `x-forwarded-for` to a gateway that trusts it. */
    private readonly headers: Readonly<Record<string, string>> = {},
  ) {}

  get(path: string, options?: AskOptions): Promise<DashboardAnswer> {
    return this.ask('GET', path, undefined, options);
  }
  post(path: string, body?: unknown, options?: AskOptions): Promise<DashboardAnswer> {
    return this.ask('POST', path, body, options);
  }
  put(path: string, body?: unknown, options?: AskOptions): Promise<DashboardAnswer> {
    return this.ask('PUT', path, body, options);
  }
  patch(path: string, body?: unknown, options?: AskOptions): Promise<DashboardAnswer> {
    return this.ask('PATCH', path, body, options);
  }
  delete(path: string, body?: unknown, options?: AskOptions): Promise<DashboardAnswer> {
    return this.ask('DELETE', path, body, options);
  }

  /** Every further request is for this organization; null: for the session's own. */
  use(organizationId: string | null): void {
    this.#organizationId = organizationId;
  }

  async ask(
    method: string,
    path: string,
    body?: unknown,
    { headers = {} }: AskOptions = {},
  ): Promise<DashboardAnswer> {
    const all: Record<string, string | null> = {
      origin: this.origin,
      'x-csrf-token': this.csrfToken,
      cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; '),
      ...(this.#organizationId === null ? {} : { 'x-shunt-organization-id': this.#organizationId }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...this.headers,
      ...headers,
    };
    const sent = Object.entries(all).filter(([, value]) => value !== null && value !== '');
    const answer = await fetch(this.origin + path, {
      method,
      headers: sent as [string, string][],
      body: body === undefined ? undefined : JSON.stringify(body),
      redirect: 'manual',
    });
    this.#keepCookies(answer.headers);
    const text = await answer.text();
    const isJson = /json/.test(answer.headers.get('content-type') ?? '');
    const parsed: unknown = isJson && text !== '' ? JSON.parse(text) : null;
    const token = (parsed as { csrf_token?: unknown } | null)?.csrf_token;
    if (typeof token === 'string') this.csrfToken = token;
    return { status: answer.status, headers: answer.headers, text, body: parsed };
  }

  /** Who is signed in; also brings the CSRF token. */
  session(): Promise<DashboardAnswer> {
    return this.get('/api/session');
  }

  #keepCookies(headers: Headers): void {
    for (const line of headers.getSetCookie()) {
      const [pair = '', ...attributes] = line.split(/;\s*/);
      const at = pair.indexOf('=');
      const [name, value] = [pair.slice(0, at), pair.slice(at + 1)];
      const expires = attributes.find((attribute) => /^expires=/i.test(attribute))?.slice(8);
      const isOver = value === '' || (expires !== undefined && Date.parse(expires) <= Date.now());
      if (isOver) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
  }
}

interface Reachable {
  readonly origin: string;
}

export interface TestCredentials {
  readonly email: string;
  readonly password: string;
  readonly totp?: string;
}

/** Somebody who is not signed in, with a CSRF token. */
export async function anonymous(
  gateway: Reachable,
  headers?: Readonly<Record<string, string>>,
): Promise<DashboardClient> {
  const client = new DashboardClient(gateway.origin, headers);
  const answer = await client.session();
  if (answer.status !== 200) throw new Error(`session: ${answer.status} ${answer.text}`);
  return client;
}

/** Somebody who is; throws where that is refused. */
export async function signIn(
  gateway: Reachable,
  credentials: TestCredentials,
  headers?: Readonly<Record<string, string>>,
): Promise<DashboardClient> {
  const client = await anonymous(gateway, headers);
  const { email, password, totp } = credentials;
  const answer = await client.post('/api/login', { email, password, totp });
  if (answer.status !== 200) throw new Error(`login: ${answer.status} ${answer.text}`);
  return client;
}

/** The owner whom the first start of a gateway made. */
export function firstOwner(gateway: {
  readonly app: {
    readonly engine: {
      readonly bootstrapped: { readonly kind: string } | null;
    };
  };
}): TestCredentials & { readonly orgId: string } {
  const made = gateway.app.engine.bootstrapped as {
    readonly ownerEmail: string;
    readonly orgId: string;
    readonly secrets: { readonly ownerPassword: string } | null;
  } | null;
  if (!made?.secrets) throw new Error('the first start of this gateway made nobody');
  const { ownerEmail: email, orgId, secrets } = made;
  return { email, orgId, password: secrets.ownerPassword };
}
