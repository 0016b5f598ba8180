import { Module, type DynamicModule } from '@nestjs/common';
import { ProjectController } from './application-api/project.controller.js';
import { ProjectKeyGuard } from './application-api/project-key.guard.js';
import { RequestsController } from './application-api/requests.controller.js';
import { APP_CONFIG } from './config/app-config.js';
import type { Engine } from './engine.js';
import { PrincipalDirectory } from './modules/api-keys/principal-directory.js';
import { RequestLog } from './modules/records/request-log.js';
import { OperationsController } from './operations/operations.controller.js';
import { Readiness } from './operations/readiness.js';
import { Metrics } from './platform/telemetry/metrics.js';

/** Everything that is served through the framework. The gateway itself stands before it (gateway.server.ts). */
@Module({})
export class AppModule {
  static serving(engine: Engine): DynamicModule {
    return {
      module: AppModule,
      controllers: [OperationsController, ProjectController, RequestsController],
      providers: [
        ProjectKeyGuard,
        { provide: APP_CONFIG, useValue: engine.config },
        { provide: Metrics, useValue: engine.metrics },
        { provide: PrincipalDirectory, useValue: engine.principals },
        { provide: RequestLog, useValue: new RequestLog(engine.database) },
        { provide: Readiness, useValue: new Readiness(engine.probes) },
      ],
    };
  }
}
