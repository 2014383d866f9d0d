import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { plantedFaultsFile } from './control-path.js';
import type { SimFault, SimFaultKind } from './faults.js';

/** The stand-in did not take a request on its control socket. */
export class MongodSimControlError extends Error {
  readonly code = 'MONGOD_SIM_CONTROL';
}

/** Tells one mongod-sim (or mongos-sim) to misbehave, over the control socket it was given by `simControl` or `MONGOD_SIM_CONTROL`. */
export class MongodSimControl {
  constructor(readonly path: string) {}

  /** Sets a fault in the running process. Rejects with {@link MongodSimControlError} when it is not there. */
  async set(fault: SimFault): Promise<void> {
    await this.#request({ do: 'set', fault });
  }

  /** Ends the faults of one kind, or all of them. */
  async clear(kind?: SimFaultKind): Promise<void> {
    await this.#request({ do: 'clear', ...(kind === undefined ? {} : { kind }) });
  }

  async list(): Promise<SimFault[]> {
    return (await this.#request({ do: 'list' })).faults;
  }

  /** Leaves faults for every start from now on, until {@link unplant}. They act from the first moment of the process. */
  plant(...faults: SimFault[]): void {
    const file = plantedFaultsFile(this.path);
    mkdirSync(dirname(file), { recursive: true });
    const before = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as SimFault[]) : [];
    writeFileSync(file, JSON.stringify([...before, ...faults]));
  }

  unplant(): void {
    rmSync(plantedFaultsFile(this.path), { force: true });
  }

  #request(request: object): Promise<{ faults: SimFault[] }> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.path);
      let text = '';
      const fail = (reason: string): void => {
        socket.destroy();
        reject(new MongodSimControlError(`${this.path}: ${reason}`));
      };
      socket.setEncoding('utf8');
      socket.setTimeout(10_000, () => fail('no answer within 10 s'));
      socket.once('error', (error) => fail(error.message));
      socket.once('close', () => fail('closed without an answer'));
      socket.on('data', (chunk: string) => {
        text += chunk;
        const end = text.indexOf('\n');
        if (end < 0) return;
        const reply = JSON.parse(text.slice(0, end)) as { ok: boolean; error?: string; faults: SimFault[] };
        socket.removeAllListeners('close');
        socket.end();
        if (reply.ok) resolve(reply);
        else fail(reply.error ?? 'refused');
      });
      socket.write(`${JSON.stringify(request)}\n`);
    });
  }
}
