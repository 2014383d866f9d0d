import { Module, type DynamicModule, type Type } from '@nestjs/common';
import { KeyUsageController } from './key-usage/key-usage.controller.js';
import { KeyUsages } from './key-usage/key-usage.service.js';

/** Every controller of the service: what it serves, and what the generated API reference describes. */
export const snapshotCatalogControllers: readonly Type[] = [KeyUsageController];

/** The HTTP side of this context. `guard` is platform-auth's access module over this service's own store. */
export function snapshotCatalogModule(guard: DynamicModule, parts: { readonly keyUsages: KeyUsages }): DynamicModule {
  return {
    module: SnapshotCatalogModule,
    imports: [guard],
    controllers: [...snapshotCatalogControllers],
    providers: [{ provide: KeyUsages, useValue: parts.keyUsages }],
  };
}

@Module({})
class SnapshotCatalogModule {}
