import { Module, type DynamicModule, type Type } from '@nestjs/common';
import { EncryptionAtRestController, providerControllers } from './encryption-at-rest.controller.js';
import { EncryptionAtRestUseCases } from './encryption-at-rest.js';

/** Every controller of the service: what it serves, and what the generated API reference describes. */
export const kmsValidationControllers: readonly Type[] = [EncryptionAtRestController, ...providerControllers];

/** The HTTP side of this context. `guard` is platform-auth's access module over this service's own store. */
export function kmsValidationModule(guard: DynamicModule, useCases: EncryptionAtRestUseCases): DynamicModule {
  return {
    module: KmsValidationModule,
    imports: [guard],
    controllers: [...kmsValidationControllers],
    providers: [{ provide: EncryptionAtRestUseCases, useValue: useCases }],
  };
}

@Module({})
class KmsValidationModule {}
