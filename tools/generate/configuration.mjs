import { describeConfig } from '@atrest/platform-config';
import { standaloneFields } from '../../apps/standalone/dist/configuration.js';

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
      '## Standalone app',
      '',
      describeConfig(standaloneFields),
      '',
    ].join('\n'),
  );
}
