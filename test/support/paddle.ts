import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * The payment provider for tests: events in the shape of Paddle Billing's webhooks, signed as Paddle signs them, and a
 * simulation (nothing more) of the API endpoints that the product asks. Names, addresses and a card are in every
 * payload, so that a test can look for them where they must not be.
 */
export const PADDLE_SECRET = 'pdl_ntfset_01test_4f5c0d9e8b7a6f5e4d3c2b1a';
export const PADDLE_ENV = {
  PADDLE_API_KEY: 'pdl_sdbx_apikey_test',
  PADDLE_WEBHOOK_SECRET: PADDLE_SECRET,
};

/** What payloads tell of the people who pay. */
export const PAYER = {
  name: 'Wilhelmina Quackenbush',
  email: 'wilhelmina@quackenbush.example',
  street: 'Zwiebelgasse 4711',
  city: 'Entenhausen-Nord',
  company: 'Quackenbush Zinkwerke',
  taxId: 'DE987654321X',
  card: '4917610000000000',
  cardholder: 'W QUACKENBUSH',
} as const;

export type PaddleEventType =
  | `subscription.${'created' | 'activated' | 'trialing' | 'updated' | 'past_due' | 'paused' | 'resumed' | 'canceled' | 'imported'}`
  | `transaction.${'completed' | 'payment_failed'}`;

export interface PaddleEventOptions {
  readonly orgId?: string | null;
  readonly subscriptionId?: string;
  readonly customerId?: string;
  /** ISO 8601. */
  readonly occurredAt?: string;
  readonly eventId?: string;
  /** Another than the type's own. */
  readonly status?: string;
  readonly priceId?: string;
  readonly plan?: Readonly<Record<string, unknown>>;
  readonly quantity?: number;
}

export interface PaddlePayload {
  readonly event_id: string;
  readonly event_type: string;
  readonly occurred_at: string;
  readonly notification_id: string;
  readonly data: Record<string, unknown>;
}

const STATUS_OF: Readonly<Record<string, string>> = {
  created: 'active',
  activated: 'active',
  trialing: 'trialing',
  updated: 'active',
  past_due: 'past_due',
  paused: 'paused',
  resumed: 'active',
  canceled: 'canceled',
  imported: 'active',
  completed: 'completed',
  payment_failed: 'past_due',
};

export const paddleId = (kind: string): string => `${kind}_01${randomBytes(12).toString('hex')}`;

export function paddleEvent(
  type: PaddleEventType,
  options: PaddleEventOptions = {},
): PaddlePayload {
  const occurredAt = options.occurredAt ?? new Date().toISOString();
  return {
    event_id: options.eventId ?? paddleId('evt'),
    event_type: type,
    occurred_at: occurredAt,
    notification_id: paddleId('ntf'),
    data: type.startsWith('subscription.')
      ? subscriptionData(type, occurredAt, options)
      : transactionData(type, occurredAt, options),
  };
}

const statusOf = (type: string, { status }: PaddleEventOptions): string =>
  status ?? STATUS_OF[type.split('.')[1] ?? ''] ?? 'active';

const customData = (orgId: string | null | undefined) =>
  orgId === null || orgId === undefined ? null : { organization_id: orgId };

/** As the API gives a subscription, and webhooks tell of it. */
export function subscriptionData(
  type: string,
  at: string,
  options: PaddleEventOptions,
): Record<string, unknown> {
  const status = statusOf(type, options);
  const ended = status === 'canceled';
  return {
    id: options.subscriptionId ?? 'sub_01test',
    status,
    customer_id: options.customerId ?? 'ctm_01test',
    address_id: 'add_01test',
    business_id: 'biz_01test',
    currency_code: 'USD',
    created_at: at,
    updated_at: at,
    started_at: at,
    first_billed_at: at,
    next_billed_at: ended ? null : '2027-01-01T00:00:00.000000Z',
    paused_at: status === 'paused' ? at : null,
    canceled_at: ended ? at : null,
    collection_mode: 'automatic',
    billing_details: null,
    discount: null,
    current_billing_period: ended
      ? null
      : { starts_at: '2026-12-01T00:00:00.000000Z', ends_at: '2027-01-01T00:00:00.000000Z' },
    billing_cycle: { interval: 'month', frequency: 1 },
    scheduled_change: null,
    management_urls: {
      update_payment_method: `https://pay.example.com/${options.subscriptionId ?? 'sub_01test'}`,
      cancel: 'https://pay.example.com/cancel',
    },
    items: [itemData(at, options)],
    custom_data: customData(options.orgId),
    import_meta: null,
    // Not of a subscription's own; part of what an integration may ask Paddle to include.
    customer: { id: 'ctm_01test', name: PAYER.name, email: PAYER.email },
    business: {
      name: PAYER.company,
      tax_identifier: PAYER.taxId,
      contacts: [{ email: PAYER.email }],
    },
    address: { first_line: PAYER.street, city: PAYER.city, country_code: 'DE' },
  };
}

function itemData(at: string, options: PaddleEventOptions) {
  const priceId = options.priceId ?? 'pri_01team';
  return {
    status: 'active',
    quantity: options.quantity ?? 1,
    recurring: true,
    created_at: at,
    updated_at: at,
    previously_billed_at: at,
    next_billed_at: '2027-01-01T00:00:00.000000Z',
    trial_dates: null,
    price: priceData(priceId, options.plan),
    product: productData(),
  };
}

export function priceData(id: string, plan: PaddleEventOptions['plan'] = TEAM) {
  return {
    id,
    product_id: 'pro_01shunt',
    type: 'standard',
    name: 'Team, monthly',
    description: 'Team, monthly',
    billing_cycle: { interval: 'month', frequency: 1 },
    trial_period: null,
    tax_mode: 'account_setting',
    unit_price: { amount: '9900', currency_code: 'USD' },
    unit_price_overrides: [],
    quantity: { minimum: 1, maximum: 100 },
    status: 'active',
    custom_data: plan,
    import_meta: null,
    created_at: '2026-01-01T00:00:00.000000Z',
    updated_at: '2026-01-01T00:00:00.000000Z',
  };
}

export const TEAM = { plan: 'Team', seats: 5, retention_days: '90', requests_per_month: 1_000_000 };

const productData = () => ({
  id: 'pro_01shunt',
  name: 'Shunt',
  type: 'standard',
  description: 'Routing',
  tax_category: 'saas',
  image_url: null,
  custom_data: null,
  status: 'active',
  import_meta: null,
  created_at: '2026-01-01T00:00:00.000000Z',
  updated_at: '2026-01-01T00:00:00.000000Z',
});

function transactionData(type: string, at: string, options: PaddleEventOptions) {
  return {
    id: paddleId('txn'),
    status: statusOf(type, options),
    customer_id: options.customerId ?? 'ctm_01test',
    subscription_id: options.subscriptionId ?? 'sub_01test',
    address_id: 'add_01test',
    business_id: null,
    custom_data: customData(options.orgId),
    currency_code: 'USD',
    origin: 'subscription_recurring',
    collection_mode: 'automatic',
    invoice_id: 'inv_01test',
    invoice_number: '123-10001',
    billing_period: null,
    items: [{ price: priceData(options.priceId ?? 'pri_01team'), quantity: 1 }],
    details: {
      tax_rates_used: [],
      totals: { total: '9900', currency_code: 'USD' },
      line_items: [],
    },
    payments: [
      {
        payment_attempt_id: 'b5f3',
        amount: '9900',
        status: type.endsWith('failed') ? 'error' : 'captured',
        error_code: type.endsWith('failed') ? 'declined' : null,
        method_details: {
          type: 'card',
          card: { type: 'visa', last4: PAYER.card.slice(-4), cardholder_name: PAYER.cardholder },
        },
      },
    ],
    customer: { name: PAYER.name, email: PAYER.email },
    checkout: { url: 'https://pay.example.com' },
    created_at: at,
    updated_at: at,
    billed_at: at,
    revised_at: null,
  };
}

/** The `Paddle-Signature` header of a body: HMAC-SHA256 over the time, a colon and the bytes. */
export function paddleSignature(
  body: string,
  { secret = PADDLE_SECRET, ts = Math.floor(Date.now() / 1_000) } = {},
): string {
  return `ts=${ts};h1=${paddleH1(body, secret, ts)}`;
}

export function paddleH1(body: string, secret: string, ts: number): string {
  return createHmac('sha256', secret).update(`${ts}:${body}`).digest('hex');
}

/** Delivers one event as Paddle would, and gives the status of the answer. */
export async function deliver(origin: string, payload: PaddlePayload): Promise<number> {
  const body = JSON.stringify(payload);
  const answer = await fetch(`${origin}/webhooks/paddle`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'paddle-signature': paddleSignature(body) },
    body,
  });
  await answer.arrayBuffer();
  return answer.status;
}

export interface PaddleSimulation {
  readonly origin: string;
  /** Subscriptions as the API has them, by id. */
  readonly subscriptions: Map<string, Record<string, unknown>>;
  prices: Record<string, unknown>[];
  /** What was asked: method, path and body. */
  readonly asked: { readonly method: string; readonly path: string; readonly body: string }[];
  /** `failing`: every answer is a page of HTML with 503; `refusing`: an error in Paddle's own form. */
  mood: 'well' | 'failing' | 'refusing' | 'silent';
  /** Subscriptions on a page, at most. */
  pageSize: number;
  close(): Promise<void>;
}

/** A simulation of the endpoints of Paddle's API that the product uses, on loopback. */
export async function startPaddleSimulation(): Promise<PaddleSimulation> {
  const server = createServer((req, res) => void serve(simulation, req, res));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const simulation: PaddleSimulation = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    subscriptions: new Map(),
    prices: [{ ...priceData('pri_01team'), product: productData() }],
    asked: [],
    mood: 'well',
    pageSize: 100,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return simulation;
}

async function serve(
  simulation: PaddleSimulation,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of req) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks).toString();
  const { pathname, searchParams } = new URL(req.url ?? '/', simulation.origin);
  simulation.asked.push({ method: req.method ?? '', path: pathname, body });
  if (simulation.mood === 'silent') return;
  if (simulation.mood === 'failing') {
    res.writeHead(503, { 'content-type': 'text/html' }).end(`<h1>${PAYER.name} is away</h1>`);
    return;
  }
  const found =
    simulation.mood === 'refusing' ? null : answerOf(simulation, req, pathname, searchParams);
  const meta = { request_id: 'test' };
  const refusal = {
    error: { type: 'request_error', code: 'forbidden', detail: `${PAYER.email} may not.` },
    meta,
  };
  res.writeHead(found === null ? 403 : 200, { 'content-type': 'application/json' });
  res.end(JSON.stringify(found === null ? refusal : { meta, ...found }));
}

function answerOf(
  simulation: PaddleSimulation,
  { method }: IncomingMessage,
  path: string,
  query: URLSearchParams,
): Record<string, unknown> | null {
  if (method === 'GET' && path === '/subscriptions') return page(simulation, query);
  if (method === 'GET' && path === '/prices') {
    const pagination = { per_page: 200, next: '', has_more: false, estimated_total: 1 };
    return { data: simulation.prices, meta: { pagination } };
  }
  const [, subscriptionId] = /^\/subscriptions\/(\w+)$/.exec(path) ?? [];
  if (method === 'GET' && subscriptionId !== undefined) {
    const data = simulation.subscriptions.get(subscriptionId);
    return data === undefined ? null : { data };
  }
  if (method === 'POST' && path === '/transactions') {
    const at = new Date().toISOString();
    const data = transactionData('transaction.created', at, { orgId: null });
    return {
      data: { ...data, checkout: { url: 'https://pay.example.com/checkout?_ptxn=txn_01test' } },
    };
  }
  if (method === 'POST' && /^\/customers\/\w+\/portal-sessions$/.test(path)) {
    const urls = { general: { overview: 'https://portal.example.com/cpl_01' }, subscriptions: [] };
    return { data: { id: 'cpls_01', customer_id: 'ctm_01test', urls, created_at: '' } };
  }
  return null;
}

function page({ subscriptions, pageSize, origin }: PaddleSimulation, query: URLSearchParams) {
  const after = query.get('after') ?? '';
  const rest = [...subscriptions.keys()].toSorted().filter((id) => id > after);
  const ids = rest.slice(0, Math.min(pageSize, Number(query.get('per_page') ?? 50)));
  const next = `${origin}/subscriptions?after=${ids.at(-1) ?? ''}`;
  const hasMore = rest.length > ids.length;
  return {
    data: ids.map((id) => subscriptions.get(id)),
    meta: {
      pagination: { per_page: pageSize, next, has_more: hasMore, estimated_total: rest.length },
    },
  };
}
