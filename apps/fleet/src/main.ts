import { createFleetService } from '@atrest/fleet';
import { SealingKeys } from '@atrest/platform-auth';
import { hostService } from '@atrest/platform-host';
import { fleetFields } from './configuration.js';

await hostService({
  name: 'fleet',
  fields: fleetFields,
  prepare: (configuration) => ({
    sealingKeys: SealingKeys.parse(configuration.ATREST_SEALING_KEYS.reveal()),
    issuer: configuration.ATREST_PUBLIC_URL,
  }),
  create: createFleetService,
});
