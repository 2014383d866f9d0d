import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { LOG_IDS } from '@atrest/mongod';
import { TestHost } from './test-host.contract.js';

let host: TestHost;
beforeEach(async () => {
  host = await TestHost.open();
});
afterEach(() => host.close([]));

/** A server whose poller finds its key not active at once; each start leaves a line in `starts`. */
async function serverWithoutKey(): Promise<string> {
  const record = (id: number, attr: object) =>
    JSON.stringify({ t: {}, s: id === LOG_IDS.masterKeyInactive ? 'E' : 'I', c: 'STORAGE', id, attr });
  const lines = [
    record(LOG_IDS.ready, {}),
    record(LOG_IDS.masterKeyInactive, { keyIdentifier: '7' }),
    record(LOG_IDS.shutDown, { exitCode: 1001 }),
  ];
  const script = [
    '#!/bin/sh',
    `echo started >> '${join(host.folder, 'starts')}'`,
    'while [ $# -gt 0 ]; do if [ "$1" = --logpath ]; then log="$2"; fi; shift; done',
    ...lines.map((line) => `echo '${line}' >> "$log"`),
    'exit 233',
  ];
  const path = join(host.folder, 'mongod');
  await writeFile(path, `${script.join('\n')}\n`);
  await chmod(path, 0o755);
  return path;
}
const starts = async () => (await readFile(join(host.folder, 'starts'), 'utf8')).split('\n').filter((line) => line !== '').length;

it('F37 the end of a server whose key is not active is reported as such; it is tried again after a wait, and not at all once it is to be stopped', async () => {
  const goal = await host.process();
  host.controlPlane.order([goal]);
  const mongod = await serverWithoutKey();
  // Each wait is half of the longest at least: what a crash loop would do meanwhile shows in the number of starts.
  const waits = { restartBaseMs: 1, restartMaxMs: 2_000 };
  await host.startAgent({ programs: { mongod, mongos: null }, intervals: { heartbeatMs: 500, ...waits } });
  const seen = (await host.controlPlane.until('the end to be reported', (all) => all.get(goal.id)?.endedForKey !== undefined)).get(
    goal.id,
  )!;
  expect(seen).toMatchObject({
    status: 'failed',
    pid: null,
    exitCode: 233,
    error: expect.stringMatching(/its master key is not active any more/),
    endedForKey: { detail: expect.stringMatching(/its master key is not active any more/) },
  });
  const ends = () => host.lines.filter((line) => line['cause'] === 'key-poller').map((line) => Date.parse(String(line['time'])));
  const { at } = seen.endedForKey!;
  await host.controlPlane.until('the next try', (all) => (all.get(goal.id)?.endedForKey?.at ?? at) > at);
  // A change of something else brings no key back.
  host.controlPlane.order([{ ...goal, extraArguments: [...goal.extraArguments, '--quiet'] }]);
  const { at: later } = (await host.controlPlane.until('the changed goal to be taken', (all) => all.has(goal.id))).get(
    goal.id,
  )!.endedForKey!;
  await host.controlPlane.until('the try after that', (all) => (all.get(goal.id)?.endedForKey?.at ?? later) > later);
  const times = ends();
  expect(times.length).toBeGreaterThanOrEqual(3);
  // The wait counts from the moment the end was seen, a little before it is logged.
  for (const [index, time] of times.slice(1).entries()) expect(time - times[index]!).toBeGreaterThanOrEqual(waits.restartMaxMs / 2 - 50);

  host.controlPlane.order([{ ...goal, desired: 'stopped', reason: 'The key is not usable.' }]);
  await host.controlPlane.until('it to be stopped', (all) => all.get(goal.id)?.status === 'stopped');
  const last = await starts();
  const { reports } = host.controlPlane;
  const count = reports.length;
  await host.controlPlane.until('more reports', () => reports.length > count + 6);
  expect(await starts()).toBe(last);
});
