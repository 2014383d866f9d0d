import { statSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Path of a process's control socket. `{port}` in it stands for the server's port, and a folder means `<folder>/<port>.sock`, so that
 * one environment variable serves all processes of a supervisor. A unix socket path holds 107 bytes: keep the folder short.
 */
export function controlPathFor(setting: string, port: number): string {
  if (setting.includes('{port}')) return setting.replaceAll('{port}', String(port));
  return statSync(setting, { throwIfNoEntry: false })?.isDirectory() === true ? join(setting, `${port}.sock`) : setting;
}

/** The file beside a control socket that holds the faults of the next start. */
export function plantedFaultsFile(controlPath: string): string {
  return `${controlPath}.faults.json`;
}
