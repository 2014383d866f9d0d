import { globSync, readFileSync } from 'node:fs';

const TITLE = /\b(?:it|test|describe)(?:\.[a-z]+(?:\([^)]*\))?)*\(\s*(['"`])((?:(?!\1).)*\bF\d{2}\b(?:(?!\1).)*)\1/gs;

/** The table of faults and the tests that cover them, from the titles of the specs. */
export async function generateFaults(output) {
  const faults = new Map();
  for (const file of globSync('{libs,apps}/**/src/**/*.{spec,contract}.ts').sort()) {
    for (const [, , title] of readFileSync(file, 'utf8').matchAll(TITLE)) {
      for (const id of new Set(title.match(/\bF\d{2}\b/g))) {
        if (!faults.has(id)) faults.set(id, []);
        faults.get(id).push({ title: title.replace(/\s+/g, ' ').replaceAll('|', '\\|'), file });
      }
    }
  }
  const rows = [...faults]
    .sort(([a], [b]) => a.localeCompare(b))
    .flatMap(([id, tests]) =>
      tests.map(({ title, file }, index) => `| ${index === 0 ? id : ''} | ${title} | [${file.split('/').at(-1)}](../../${file}) |`),
    );
  await output.file(
    'docs/reference/faults.md',
    [
      '# Faults that the tests cover',
      '',
      'Each fault has an id. "Survives" means: no database stopped without a confirmed definitive reason, nothing lost, no secret shown, a clear error or alert,',
      'and the system right again by itself once the cause is gone. `npm run faults` runs these tests alone and ends with one line per id.',
      '',
      'This table is generated from the titles of the tests.',
      '',
      '| fault | test | file |',
      '| --- | --- | --- |',
      ...rows,
      '',
    ].join('\n'),
  );
}
