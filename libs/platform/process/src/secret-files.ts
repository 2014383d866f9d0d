import { readFileSync } from 'node:fs';
import { ConfigError, type ConfigFields, type ConfigProblem } from '@atrest/platform-config';

/**
 * Reads `NAME_FILE` for every setting `NAME` that is not set itself: the way in which Docker and Kubernetes hand over secrets, so that
 * none stands in an environment. A line break at the end belongs to the file, not to the value.
 *
 * @throws ConfigError when a named file cannot be read, or both are set
 */
export function withSecretFiles(fields: ConfigFields, environment: Record<string, string | undefined>): Record<string, string | undefined> {
  const problems: ConfigProblem[] = [];
  const complete = { ...environment };
  for (const name of Object.keys(fields)) {
    const variable = `${name}_FILE`;
    const path = environment[variable];
    if (path === undefined) continue;
    if (environment[name] !== undefined) {
      problems.push({ variable, rule: `must not be set together with ${name}. Remove one of them.` });
      continue;
    }
    try {
      complete[name] = readFileSync(path, 'utf8').trimEnd();
    } catch (error) {
      problems.push({ variable, rule: `names a file that cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'}).` });
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return complete;
}
