import 'reflect-metadata';
import type { ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { beforeEach, expect, test } from 'vitest';
import type { AppConfig } from '../config/app-config.js';
import type { MemberAccessService } from '../modules/accounts/member-access.service.js';
import type { SessionService } from '../modules/accounts/session.service.js';
import { OpenToAll } from './access.js';
import { DashboardGuard, REQUESTS_PER_MINUTE } from './dashboard.guard.js';

const OWN = '192.0.2.1';
let lookedUp = 0;
let guard: DashboardGuard;
beforeEach(() => {
  lookedUp = 0;
  const sessions = {
    find: async () => {
      lookedUp += 1;
      return null;
    },
  };
  guard = new DashboardGuard(
    new Reflector(),
    { production: false, secrets: { sessionSecret: 's' } } as AppConfig,
    sessions as unknown as SessionService,
    {} as MemberAccessService,
  );
});

const handler = (): void => undefined;
OpenToAll()(handler);

async function ask(ip: string, signed: string | null = null): Promise<unknown> {
  const request = {
    ip,
    method: 'GET',
    headers: {},
    cookies: signed === null ? {} : { shunt_session: signed },
    unsignCookie: (value: string) => ({ valid: true, value }),
  };
  const context = {
    getHandler: () => handler,
    switchToHttp: () => ({ getRequest: () => request }),
  };
  return guard.canActivate(context as unknown as ExecutionContext).catch((error: unknown) => error);
}

const REFUSED = { code: 'too_many_requests', retryAfterSeconds: expect.any(Number) as unknown };

test('a session that asks far too often is refused without a look into the database, and nobody else is', async () => {
  for (let i = 0; i < REQUESTS_PER_MINUTE; i += 1) {
    expect(await ask(OWN, 'one.secret')).toBe(true);
  }
  expect(await ask(OWN, 'one.secret')).toMatchObject(REFUSED);
  expect(lookedUp).toBe(REQUESTS_PER_MINUTE);
  expect(await ask(OWN, 'another.secret')).toBe(true);
  expect(await ask(OWN)).toBe(true);
});

test('without a session it is the address that counts, also with a signed cookie that is no session’s', async () => {
  for (let i = 0; i < REQUESTS_PER_MINUTE; i += 1) {
    expect(await ask(OWN, i % 2 === 0 ? null : `anonymous-${i}`)).toBe(true);
  }
  expect(await ask(OWN, 'anonymous')).toMatchObject(REFUSED);
  expect(await ask('192.0.2.2')).toBe(true);
  expect(await ask(OWN, 'one.secret')).toBe(true);
});
