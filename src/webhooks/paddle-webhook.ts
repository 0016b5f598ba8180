import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { AppConfig } from '../config/app-config.js';
import type { BillingService } from '../modules/billing/billing.service.js';
import { readPaddleEvent } from '../modules/billing/paddle-event.js';
import { isSignedByPaddle, webhookSecrets } from '../modules/billing/paddle-signature.js';
import type { Clock } from '../platform/clock.js';
import { isPassing } from '../modules/billing/passing-error.js';
import { safeError, type Logger } from '../platform/telemetry/logger.js';

export interface PaddleWebhookParts {
  readonly billing: Pick<BillingService, 'receive'>;
  /** Null: billing is off, and there is no such path. */
  readonly paddle: AppConfig['paddle'];
  readonly clock: Clock;
  readonly logger: Logger;
}

const PATH = '/webhooks/paddle';
const BODY_BYTES_MAX = 1_048_576;
const RETRY_SECONDS = 5;

type Answer = readonly [status: number, code: string, message: string];

const ANSWERS = {
  off: [404, 'not_found', 'There is nothing here.'],
  unsigned: [
    401,
    'invalid_signature',
    'The signature is missing, wrong, too old or of the future.',
  ],
  unreadable: [400, 'invalid_request', 'The body is no event.'],
  away: [503, 'temporarily_unavailable', 'The event could not be stored. Deliver it again.'],
  broken: [500, 'internal_error', 'Something went wrong here. Deliver it again.'],
} as const satisfies Record<string, Answer>;

/**
 * `POST /webhooks/paddle`. A Fastify plugin and not a controller: it has a reader of bodies of its own, so that the
 * bytes that were signed are what is checked, before anything parses them, and no other route keeps raw bodies.
 * There is no session here, hence nothing that a foreign page could borrow: the signature is all that counts.
 */
export function paddleWebhook(parts: PaddleWebhookParts) {
  const secrets = webhookSecrets(parts.paddle?.webhookSecret ?? '');
  return async (scope: FastifyInstance): Promise<void> => {
    scope.removeAllContentTypeParsers();
    const asBytes = { parseAs: 'buffer', bodyLimit: BODY_BYTES_MAX } as const;
    scope.addContentTypeParser('*', asBytes, (_request, body, done) => done(null, body));
    scope.setErrorHandler((error, _request, reply) => failed(parts, reply, error));
    scope.post(PATH, (request, reply) => take(parts, secrets, request, reply));
  };
}

async function take(
  { billing, paddle, clock }: PaddleWebhookParts,
  secrets: readonly string[],
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  if (paddle === null) return answer(reply, ANSWERS.off);
  const rawBody = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  const given = request.headers['paddle-signature'];
  const header = typeof given === 'string' ? given : undefined;
  if (!isSignedByPaddle({ header, rawBody }, secrets, clock.nowMs())) {
    return answer(reply, ANSWERS.unsigned);
  }
  const event = readPaddleEvent(rawBody);
  if (event === null) return answer(reply, ANSWERS.unreadable);
  await billing.receive(event);
  return reply.status(200).send({ received: true });
}

function failed({ logger }: PaddleWebhookParts, reply: FastifyReply, error: unknown): FastifyReply {
  const { statusCode } = error as { statusCode?: unknown };
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
    return answer(reply, [statusCode, 'invalid_request', 'The request cannot be read.']);
  }
  logger.error({ err: safeError(error) }, 'a billing event could not be taken in');
  if (!isPassing(error)) return answer(reply, ANSWERS.broken);
  return answer(reply.header('retry-after', String(RETRY_SECONDS)), ANSWERS.away);
}

function answer(reply: FastifyReply, [status, code, message]: Answer): FastifyReply {
  return reply.status(status).send({ error: { code, message } });
}
