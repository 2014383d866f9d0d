import { readFileSync, statSync } from 'node:fs';

/**
 * Why mongod refuses a key file, or undefined when it takes it.
 */
export function keyFileProblem(path: string): { code: number; codeName: string; errmsg: string } | undefined {
  const refuse = (errmsg: string): { code: number; codeName: string; errmsg: string } => ({ code: 30, codeName: 'InvalidPath', errmsg });
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return refuse(`Error reading file ${path}: No such file or directory`);
  if ((stat.mode & 0o077) !== 0) return refuse(`permissions on ${path} are too open`);
  let text: string;
  try {
    text = internalKey(path);
  } catch (error) {
    return refuse(`Error reading file ${path}: ${(error as NodeJS.ErrnoException).code ?? 'unknown'}`);
  }
  if (text.length < 6 || text.length > 1024)
    return refuse(`security key in ${path} has length ${text.length}, must be between 6 and 1024 chars`);
  if (!/^[A-Za-z0-9+/=]+$/.test(text)) return refuse(`invalid char in key file ${path}`);
  return undefined;
}

/** The key that members of a set share: the content of the file without white space. */
export function internalKey(path: string): string {
  return readFileSync(path, 'utf8').replaceAll(/\s/g, '');
}
