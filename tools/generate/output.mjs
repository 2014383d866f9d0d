import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { format, resolveConfig } from 'prettier';

/** Collects generated files; either writes them or, when checking, names the ones that are stale. */
export class Output {
  #check;
  #stale = [];
  #written = 0;

  constructor({ check }) {
    this.#check = check;
  }

  /** Formats `text` as the repository formats that kind of file, so that a generated file is never a formatting error. */
  async file(path, text) {
    const formatted = await format(text, { ...(await resolveConfig(path)), filepath: path });
    if (existsSync(path) && readFileSync(path, 'utf8') === formatted) return;
    if (this.#check) {
      this.#stale.push(path);
      return;
    }
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, formatted);
    this.#written += 1;
  }

  /** Exit code: 1 when a checked file is stale. */
  finish() {
    for (const path of this.#stale) console.error(`${path} is stale: run 'npm run generate' and commit the result`);
    if (!this.#check) console.log(`${this.#written} generated files changed`);
    return this.#stale.length === 0 ? 0 : 1;
  }
}

export const json = (value) => `${JSON.stringify(value, null, 2)}\n`;
