import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { vi } from 'vitest';

/** Takes note of every route (`GET /path`) that the framework of the next gateway registers, whoever registers it. */
export function watchRoutes(): string[] {
  const routes: string[] = [];
  const create = NestFactory.create.bind(NestFactory) as (...args: unknown[]) => Promise<unknown>;
  const spy = vi.spyOn(NestFactory, 'create');
  spy.mockImplementation(async (...args: unknown[]) => {
    const nest = (await create(...args)) as INestApplication;
    const router = nest.getHttpAdapter().getInstance() as {
      addHook(
        name: string,
        hook: (route: { method: string | string[]; url: string }) => void,
      ): void;
    };
    router.addHook('onRoute', ({ method, url }) => {
      for (const verb of [method].flat()) routes.push(`${verb} ${url}`);
    });
    spy.mockRestore();
    return nest as never;
  });
  return routes;
}
