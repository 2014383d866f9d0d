import { readFileSync } from 'node:fs';
import { ConfigError } from '@atrest/platform-config';

/**
 * The content of a file that a setting names. `partner` is the setting that makes it necessary.
 *
 * @throws ConfigError when the setting is missing or the file cannot be read
 */
export function readNamedFile(variable: string, path: string | undefined, partner: string): Buffer {
  if (path === undefined) throw new ConfigError([{ variable, rule: `is not set, but ${partner} is. Set both or none.` }]);
  try {
    return readFileSync(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new ConfigError([{ variable, rule: `names a file that cannot be read (${code}).` }]);
  }
}
