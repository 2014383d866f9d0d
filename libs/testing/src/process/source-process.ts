import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));

/** Loads a TypeScript module of this repository and calls one of its exports. Vite resolves it just as it does for Vitest. */
const LOADER = `
  import { runnerImport } from 'vite';
  const [file, name, ...parameters] = process.argv.slice(1);
  const conditions = ['@atrest/source'];
  const { module } = await runnerImport(file, {
    configFile: false, logLevel: 'error', resolve: { conditions }, ssr: { resolve: { conditions, externalConditions: conditions } },
    // The environment in which it runs: our libraries from their sources, everything else as it is installed.
    environments: { inline: { resolve: { conditions, noExternal: [/^@atrest\\//] } } },
  });
  await module[name](...parameters);
`;

/**
 * Runs an exported function of a TypeScript module in a process of its own, for tests that kill processes. It needs no build. The function
 * gets the parameters as text; output goes where the test's goes unless `stdio` says otherwise.
 */
export function sourceProcess(o: { module: URL; run: string; parameters?: readonly string[]; stdio?: 'inherit' | 'pipe' }): ChildProcess {
  return spawn(process.execPath, ['--input-type=module', '-e', LOADER, '--', fileURLToPath(o.module), o.run, ...(o.parameters ?? [])], {
    cwd: ROOT,
    stdio: o.stdio ?? 'inherit',
  });
}

/** Resolves when the process is over: its exit code, or the signal that ended it. */
export function processEnd(child: ChildProcess): Promise<number | NodeJS.Signals> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? signal ?? 0));
  });
}
