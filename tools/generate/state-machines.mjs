/** A Mermaid state diagram from a list of transitions; several causes of one arrow share it. `initial`: states in which it may begin. */
function diagram(initial, transitions) {
  const arrows = new Map();
  for (const { from, to, on, event } of transitions) {
    if (from === to) continue;
    const key = `${from} --> ${to}`;
    arrows.set(key, [...(arrows.get(key) ?? []), event === null ? on : `${on} / ${event}`]);
  }
  return [
    'stateDiagram-v2',
    ...initial.map((state) => `  [*] --> ${state}`),
    ...[...arrows].map(([arrow, causes]) => `  ${arrow}: ${causes.join(', ')}`),
  ].join('\n');
}

const table = (transitions) => [
  '| from | on | to | event |',
  '| --- | --- | --- | --- |',
  ...transitions.map(({ from, on, to, event }) => `| ${from} | ${on} | ${to === from ? '(stays)' : to} | ${event ?? ''} |`),
];

/** The page of state machines, drawn from the tables that the code decides by. */
export async function generateStateMachines(
  output,
  { backupTaskTransitions, clusterStateDiagram, snapshotTransitions, validityTransitions },
) {
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
      diagram(['VALID'], validityTransitions),
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
      '## Snapshot',
      '',
      'The status of the Atlas API, which has no word for deleted ones. `failed` is final for the snapshot: another attempt is another snapshot. An event of the agent may overtake',
      'another one, so that `progressed` and `taken` are also taken from a queued snapshot.',
      '',
      '```mermaid',
      diagram(['queued'], snapshotTransitions),
      '```',
      '',
      ...table(snapshotTransitions),
      '',
      '## Backup task',
      '',
      "An agent's work on snapshots, one task for each backup job. It begins OPEN where no customer key is needed, and FAILED where no host can do it. An OPEN task is given to its",
      'agent again and again until the agent says that it works on it; one that is CANCELLING is named to it until its result is known. `withdrawn` is a cancellation before any agent was',
      'given the task; `key-lost` means that access to the key has to be sealed anew, because the host has another key or the access is too old to begin with; `key-waived`, that snapshots',
      'are deleted without it.',
      '',
      '```mermaid',
      diagram(['WAITING_FOR_KEY', 'OPEN', 'FAILED'], backupTaskTransitions),
      '```',
      '',
      ...table(backupTaskTransitions),
      '',
    ].join('\n'),
  );
}
