import { Module, type DynamicModule, type Type } from '@nestjs/common';
import { ADMIN_CONTROLLERS } from './admin/controllers.js';
import { OrganizationOverview } from './admin/organization-overview.js';
import { ProjectController } from './application-api/project.controller.js';
import { ProjectKeyGuard } from './application-api/project-key.guard.js';
import { RequestsController } from './application-api/requests.controller.js';
import { APP_CONFIG } from './config/app-config.js';
import { DASHBOARD_CONTROLLERS } from './dashboard/controllers.js';
import type { Engine } from './engine.js';
import { Breakers } from './modules/resilience/breakers.js';
import { PrincipalDirectory } from './modules/api-keys/principal-directory.js';
import { OperationsController } from './operations/operations.controller.js';
import { Readiness } from './operations/readiness.js';
import { Metrics } from './platform/telemetry/metrics.js';

/** A worker serves none of it: it only tells how it does. */
const SERVED_TO_PEOPLE_AND_PROGRAMS: readonly Type[] = [
  ProjectController,
  RequestsController,
  ...DASHBOARD_CONTROLLERS,
  ...ADMIN_CONTROLLERS,
];

/** Everything that is served through the framework. The gateway itself stands before it (gateway.server.ts). */
@Module({})
export class AppModule {
  static serving(engine: Engine): DynamicModule {
    return {
      module: AppModule,
      controllers: [
        OperationsController,
        ...(engine.config.role === 'worker' ? [] : SERVED_TO_PEOPLE_AND_PROGRAMS),
      ],
      providers: [
        ProjectKeyGuard,
        { provide: APP_CONFIG, useValue: engine.config },
        { provide: Metrics, useValue: engine.metrics },
        { provide: OrganizationOverview, useValue: new OrganizationOverview(engine.database) },
        { provide: Breakers, useValue: engine.resilience.breakers },
        { provide: PrincipalDirectory, useValue: engine.principals },
        { provide: Readiness, useValue: new Readiness(engine.probes) },
        // Each service under its own class.
        ...Object.values(engine.services).map((service) => ({
          provide: service.constructor as Type,
          useValue: service,
        })),
      ],
    };
  }
}
