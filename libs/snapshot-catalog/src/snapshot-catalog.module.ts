import { Module, type DynamicModule, type Type } from '@nestjs/common';

/** Every controller of the service: what it serves, and what the generated API reference describes. */
export const snapshotCatalogControllers: readonly Type[] = [];

/** The HTTP side of this context. `guard` is platform-auth's access module over this service's own store. */
export function snapshotCatalogModule(guard: DynamicModule): DynamicModule {
  return { module: SnapshotCatalogModule, imports: [guard], controllers: [...snapshotCatalogControllers] };
}

@Module({})
class SnapshotCatalogModule {}
