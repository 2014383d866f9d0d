/** A Mermaid state diagram from a list of transitions; several causes of one arrow share it. */
function diagram(initial, transitions) {
  const arrows = new Map();
  for (const { from, to, on, event } of transitions) {
    if (from === to) continue;
    const key = `${from} --> ${to}`;
    arrows.set(key, [...(arrows.get(key) ?? []), event === null ? on : `${on} / ${event}`]);
  }
  return ['stateDiagram-v2', `  [*] --> ${initial}`, ...[...arrows].map(([arrow, causes]) => `  ${arrow}: ${causes.join(', ')}`)].join(
    '\n',
  );
}

const table = (transitions) => [
  '| from | on | to | event |',
  '| --- | --- | --- | --- |',
  ...transitions.map(({ from, on, to, event }) => `| ${from} | ${on} | ${to === from ? '(stays)' : to} | ${event ?? ''} |`),
];

/** The page of state machines, drawn from the tables that the code decides by. */
export async function generateStateMachines(output, { clusterStateDiagram, validityTransitions }) {
  await output.file(
    'docs/explanation/state-machines.md',
    [
      '# State machines',
      '',
      'Drawn from the tables that the code decides by; `npm run generate` writes this page.',
      '',
      '## Key configuration',
      '',
      'Facts are the verdicts of validity checks; [the validity policy](validity-policy.md) says why.',
      '',
      '```mermaid',
      diagram('VALID', validityTransitions),
      '```',
      '',
      ...table(validityTransitions),
      '',
      '## Cluster',
      '',
      "The Atlas API's `stateName` is derived: DISABLING and DISABLED are shown as IDLE, because clients check the enumeration strictly and must not wait for a key that may be",
      'away for days. `selfManaged.state` and `selfManaged.disabledReason` tell the truth.',
      '',
      '```mermaid',
      clusterStateDiagram().trimEnd(),
      '```',
      '',
    ].join('\n'),
  );
}
