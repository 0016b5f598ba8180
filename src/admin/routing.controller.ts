import { Body, Get, Inject, Put } from '@nestjs/common';
import type { Actor } from '../domain/subscription/actor.js';
import {
  RoutingControl,
  type GlobalRouting,
} from '../modules/subscriptions/routing-control.service.js';
import { readBody } from '../platform/http/read-body.js';
import { AdminController } from './admin.controller.js';
import { ROUTING } from './admin-input.js';
import { CurrentOperator } from './admin.guard.js';

/** Routing for everybody. Off, all calls pass through; every organization's own status stays as it is. */
@AdminController('routing')
export class RoutingController {
  constructor(@Inject(RoutingControl) private readonly routing: RoutingControl) {}

  @Get()
  async read() {
    return told(await this.routing.global());
  }

  @Put()
  async set(@Body() body: unknown, @CurrentOperator() actor: Actor) {
    const { enabled, reason } = readBody(ROUTING, body);
    const { changed, ...state } = await this.routing.setGlobal(enabled, actor, reason);
    return { changed, ...told(state) };
  }
}

function told({ enabled, lastEntry }: GlobalRouting) {
  return {
    enabled,
    audit_seq: lastEntry?.seq ?? null,
    at: lastEntry?.at ?? null,
    by: lastEntry?.actor ?? null,
    reason: lastEntry?.reason ?? null,
  };
}
