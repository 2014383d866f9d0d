// Generates what docs/ says about the code from the code. `--check` changes nothing and fails when a file is stale.
import 'reflect-metadata';
import * as fleet from '@atrest/fleet';
import * as kmsValidation from '@atrest/kms-validation';
import * as notification from '@atrest/notification';
import * as snapshotCatalog from '@atrest/snapshot-catalog';
import { generateConfiguration } from './configuration.mjs';
import { generateEvents } from './events.mjs';
import { generateFaults } from './faults.mjs';
import { generateOpenApi } from './openapi.mjs';
import { Output } from './output.mjs';
import { generateStateMachines } from './state-machines.mjs';

const output = new Output({ check: process.argv.includes('--check') });
const controllers = [
  ...fleet.fleetControllers,
  ...kmsValidation.kmsValidationControllers,
  ...notification.notificationControllers,
  ...snapshotCatalog.snapshotCatalogControllers,
];
await generateEvents(output);
await generateOpenApi(output, controllers);
await generateStateMachines(output, {
  backupTaskTransitions: fleet.backupTaskTransitions,
  clusterStateDiagram: fleet.clusterStateDiagram,
  snapshotTransitions: snapshotCatalog.snapshotTransitions,
  validityTransitions: kmsValidation.validityTransitions,
});
await generateConfiguration(output);
await generateFaults(output);
process.exit(output.finish());
