import { Module, type DynamicModule, type Type } from '@nestjs/common';
import { KeyUsageController } from './key-usage/key-usage.controller.js';
import { KeyUsages } from './key-usage/key-usage.service.js';
import { ScheduleController } from './schedule/schedule.controller.js';
import { Schedules } from './schedule/schedules.js';
import { SnapshotsController } from './snapshots/snapshots.controller.js';
import { Snapshots } from './snapshots/snapshots.js';

/** Every controller of the service: what it serves, and what the generated API reference describes. */
export const snapshotCatalogControllers: readonly Type[] = [SnapshotsController, ScheduleController, KeyUsageController];

/** What the controllers call. */
export interface SnapshotCatalogParts {
  readonly snapshots: Snapshots;
  readonly schedules: Schedules;
  readonly keyUsages: KeyUsages;
}

/** The HTTP side of this context. `guard` is platform-auth's access module over this service's own store. */
export function snapshotCatalogModule(guard: DynamicModule, parts: SnapshotCatalogParts): DynamicModule {
  return {
    module: SnapshotCatalogModule,
    imports: [guard],
    controllers: [...snapshotCatalogControllers],
    providers: [
      { provide: Snapshots, useValue: parts.snapshots },
      { provide: Schedules, useValue: parts.schedules },
      { provide: KeyUsages, useValue: parts.keyUsages },
    ],
  };
}

@Module({})
class SnapshotCatalogModule {}
