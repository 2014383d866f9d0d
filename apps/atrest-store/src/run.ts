import { parseArgs } from 'node:util';
import { collect } from './commands/collect.js';
import { extract } from './commands/extract.js';
import { list } from './commands/list.js';
import { rebuildCatalog } from './commands/rebuild-catalog.js';
import { verify } from './commands/verify.js';
import { readConfiguration, UsageError } from './configuration.js';
import { customerKeys } from './customer-key.js';
import { openStore } from './open-store.js';
import type { Output } from './output.js';

export const USAGE = `Looks after a snapshot store without any service: with the store and, but for 'list', the credentials of the customer key.

  atrest-store list
  atrest-store verify [<snapshot>] [--percent 100]
  atrest-store extract <snapshot> <folder>
  atrest-store gc
  atrest-store rebuild-catalog

Settings come from the environment, first of all ATREST_STORE: a folder, or s3://bucket/prefix (docs/reference/configuration.md).`;

const SNAPSHOT_ID = /^[0-9a-f]{24}$/;

function snapshotIdOf(text: string | undefined): string {
  if (text === undefined || !SNAPSHOT_ID.test(text)) throw new UsageError('A snapshot is named by 24 hexadecimal digits.');
  return text;
}

function shareOf(percent: string): number {
  const share = Number(percent) / 100;
  if (!(share > 0 && share <= 1)) throw new UsageError('--percent is more than 0 and at most 100.');
  return share;
}

/**
 * Runs one command. Answers the exit code: 0, or 1 when there were problems.
 *
 * @throws UsageError, ConfigError, SnapshotStoreError
 */
export async function run(args: readonly string[], env: NodeJS.ProcessEnv, out: Output, signal: AbortSignal): Promise<number> {
  const { positionals, values } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { percent: { type: 'string', default: '100' }, help: { type: 'boolean', short: 'h' } },
  });
  const [command, first, second] = positionals;
  if (values.help === true || command === undefined) {
    out.line(USAGE);
    return values.help === true ? 0 : 2;
  }
  const configuration = readConfiguration(env);
  let problems = 0;
  const counted: Output = {
    line: out.line,
    problem: (error) => {
      problems += 1;
      out.problem(error);
    },
  };
  const wrapper = customerKeys(configuration);
  const store = await openStore(configuration);
  try {
    if (command === 'list') await list(store, counted);
    else if (command === 'verify') {
      const snapshotId = first === undefined ? null : snapshotIdOf(first);
      await verify(store, wrapper, { snapshotId, share: shareOf(values.percent), signal }, counted);
    } else if (command === 'extract') {
      const snapshotId = snapshotIdOf(first);
      if (second === undefined) throw new UsageError('Name the folder that gets the files.');
      await extract(store, wrapper, { snapshotId, target: second, signal }, counted);
    } else if (command === 'gc') await collect(store, wrapper, signal, counted);
    else if (command === 'rebuild-catalog') await rebuildCatalog(store, wrapper, counted);
    else throw new UsageError(USAGE);
  } finally {
    await store.close();
  }
  return problems === 0 ? 0 : 1;
}
