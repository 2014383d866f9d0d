import { describeConfig } from '@atrest/platform-config';
import { hostFields } from '@atrest/platform-host';
import { storeFields } from '../../apps/atrest-store/dist/configuration.js';
import { fleetFields } from '../../apps/fleet/dist/configuration.js';
import { ingressFields } from '../../apps/ingress/dist/configuration.js';
import { kmsValidationFields } from '../../apps/kms-validation/dist/configuration.js';
import { notificationFields } from '../../apps/notification/dist/configuration.js';
import { provisionFields } from '../../apps/provision/dist/configuration.js';
import { restoreExecutionFields } from '../../apps/restore-execution/dist/configuration.js';
import { snapshotCatalogFields } from '../../apps/snapshot-catalog/dist/configuration.js';
import { standaloneFields } from '../../apps/standalone/dist/configuration.js';
import { servicesFields } from '../../apps/standalone/dist/services/configuration.js';

const SECTIONS = [
  { title: 'Standalone app', text: '`npm start`, or the image `standalone`.', fields: standaloneFields },
  {
    title: 'Every service',
    text: 'What all services that run as processes of their own read, beside the settings of their own sections.',
    fields: hostFields,
  },
  { title: 'fleet', text: '', fields: fleetFields },
  { title: 'kms-validation', text: '', fields: kmsValidationFields },
  { title: 'notification', text: '', fields: notificationFields },
  { title: 'restore-execution', text: '', fields: restoreExecutionFields },
  { title: 'snapshot-catalog', text: '', fields: snapshotCatalogFields },
  { title: 'Ingress', text: 'One address for all services, for development and small installations.', fields: ingressFields },
  { title: 'Provisioning job', text: "Makes each service's role, schema and secrets.", fields: provisionFields },
  {
    title: '`atrest-store`',
    text: 'The command for a snapshot store without any service (`npm run atrest-store`).',
    fields: storeFields,
  },
  {
    title: '`npm run services` and `npm run demo:kafka`',
    text: 'All of the above on one machine, for development.',
    fields: servicesFields,
  },
];

const section = ({ title, text, fields }) => [
  `## ${title}`,
  '',
  ...(text === '' ? [] : [text, '']),
  ...(Object.keys(fields).length === 0 ? ['No settings of its own.'] : [describeConfig(fields)]),
  '',
];

/** The reference of every configuration variable, from the fields that read them. */
export async function generateConfiguration(output) {
  await output.file(
    'docs/reference/configuration.md',
    [
      '# Configuration',
      '',
      'Every value is read once, at start. A wrong one stops the start with the name of the variable and the rule; the value itself is never printed.',
      "Durations need a unit: `250ms`, `60s`, `15m`, `24h`, `365d`. This page is generated from the code's own declarations.",
      '',
      'Services, ingress and provisioning job also read `NAME_FILE` in place of `NAME`: a file with the value, as Docker and Kubernetes mount secrets.',
      '',
      ...SECTIONS.flatMap(section),
    ].join('\n'),
  );
}
