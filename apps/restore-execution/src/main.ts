import { hostService } from '@atrest/platform-host';
import { createRestoreExecutionService } from '@atrest/restore-execution';
import { restoreExecutionFields } from './configuration.js';

await hostService({
  name: 'restore-execution',
  fields: restoreExecutionFields,
  prepare: () => ({}),
  create: createRestoreExecutionService,
});
