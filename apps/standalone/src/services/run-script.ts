import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { baseEnvironment, scriptPath } from './program.js';

const run = promisify(execFile);

/** Thrown when a job of ours fails; carries what it wrote to standard error. */
export class JobFailedError extends Error {
  override readonly name = 'JobFailedError';
  readonly code = 'JOB_FAILED';
}

/** Runs one of our jobs to its end and answers what it wrote to standard output. */
export async function runScript(
  script: string,
  parameters: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<string> {
  try {
    const { stdout } = await run(process.execPath, [scriptPath(script), ...parameters], { env: { ...baseEnvironment(), ...environment } });
    return stdout;
  } catch (error) {
    throw new JobFailedError(`${script} failed: ${(error as { stderr?: string }).stderr?.trim() ?? 'no output'}`, { cause: error });
  }
}
