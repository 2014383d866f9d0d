import { Module, type DynamicModule, type Type } from '@nestjs/common';
import { CloudProviderAccess } from './access-roles/cloud-provider-access.js';
import { CloudProviderAccessController } from './access-roles/cloud-provider-access.controller.js';
import { KmsEvents } from './push/kms-events.js';
import { KmsEventsController } from './push/kms-events.controller.js';
import { EncryptionAtRestController, providerControllers } from './encryption-at-rest.controller.js';
import { EncryptionAtRestUseCases } from './encryption-at-rest.js';
import { ValidityPolicies } from './project-policy/validity-policies.js';
import { ValidityPolicyController } from './project-policy/validity-policy.controller.js';

/** Every controller of the service: what it serves, and what the generated API reference describes. */
export const kmsValidationControllers: readonly Type[] = [
  EncryptionAtRestController,
  ...providerControllers,
  ValidityPolicyController,
  CloudProviderAccessController,
  KmsEventsController,
];

/** What the controllers call. */
export interface KmsValidationParts {
  readonly useCases: EncryptionAtRestUseCases;
  readonly validityPolicies: ValidityPolicies;
  readonly cloudProviderAccess: CloudProviderAccess;
  readonly kmsEvents: KmsEvents;
}

/** The HTTP side of this context. `guard` is platform-auth's access module over this service's own store. */
export function kmsValidationModule(guard: DynamicModule, parts: KmsValidationParts): DynamicModule {
  return {
    module: KmsValidationModule,
    imports: [guard],
    controllers: [...kmsValidationControllers],
    providers: [
      { provide: EncryptionAtRestUseCases, useValue: parts.useCases },
      { provide: ValidityPolicies, useValue: parts.validityPolicies },
      { provide: CloudProviderAccess, useValue: parts.cloudProviderAccess },
      { provide: KmsEvents, useValue: parts.kmsEvents },
    ],
  };
}

@Module({})
class KmsValidationModule {}
