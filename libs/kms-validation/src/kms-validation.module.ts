import { Module, type DynamicModule } from '@nestjs/common';
import { EncryptionAtRestController } from './encryption-at-rest.controller.js';
import { EncryptionAtRestUseCases } from './encryption-at-rest.js';

/** The HTTP side of this context. `guard` is platform-auth's access module over this service's own store. */
export function kmsValidationModule(guard: DynamicModule, useCases: EncryptionAtRestUseCases): DynamicModule {
  return {
    module: KmsValidationModule,
    imports: [guard],
    controllers: [EncryptionAtRestController],
    providers: [{ provide: EncryptionAtRestUseCases, useValue: useCases }],
  };
}

@Module({})
class KmsValidationModule {}
