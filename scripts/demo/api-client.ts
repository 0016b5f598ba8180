import { must } from './screen.js';

const ANSWER_MS_MAX = 60_000;

/** A person at the pages of the installation: keeps the cookie, sends its origin and the CSRF token. */
export class ApiClient {
  readonly #cookies = new Map<string, string>();
  #csrfToken = '';

  private constructor(
    private readonly origin: string,
    private readonly base: string,
  ) {}

  static async owner(origin: string, email: string, password: string): Promise<ApiClient> {
    const client = new ApiClient(origin, '/api');
    await client.get('/session');
    await client.ask('POST', '/login', { email, password });
    return client;
  }

  static async operator(
    origin: string,
    credentials: { readonly name: string; readonly secret: string; readonly totp: string },
  ): Promise<ApiClient> {
    const client = new ApiClient(origin, '/admin/api');
    await client.ask('POST', '/login', credentials);
    return client;
  }

  get<T>(path: string): Promise<T> {
    return this.ask<T>('GET', path);
  }

  /** Any answer but a success ends the demo, with the code that the product gave. */
  async ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await fetch(this.origin + this.base + path, {
      method,
      headers: {
        origin: this.origin,
        'x-csrf-token': this.#csrfToken,
        cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      redirect: 'error',
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    });
    for (const line of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      this.#cookies.set(name, value);
    }
    const text = await answer.text();
    const given = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
    const { code } = (given['error'] ?? {}) as { code?: string };
    must(answer.ok, `${method} ${this.base}${path} answered ${answer.status} ${code ?? ''}`);
    if (typeof given['csrf_token'] === 'string') this.#csrfToken = given['csrf_token'];
    return given as T;
  }
}
