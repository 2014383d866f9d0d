import { afterEach, describe, expect, it } from 'vitest';
import type { InMemoryBehaviour } from './in-memory-process-runner.js';
import { StartError, type ProcessRunner, type StartSpec, type SupervisedProcess } from './process-runner.js';

/** What a suite needs from the runner it is run against. */
export interface RunnerHarness {
  readonly runner: ProcessRunner;
  /** A program with this behaviour on a data path of its own. */
  readonly spec: (behaviour: InMemoryBehaviour) => Promise<StartSpec & { dbPath: string }>;
  /** Resolves when the program has done what it does first (it handles signals from then on). */
  readonly settled: (spec: StartSpec) => Promise<void>;
  /** A second runner that knows nothing of the first one's processes, as after the agent's own restart. */
  readonly another: () => ProcessRunner;
}

/** The contract of {@link ProcessRunner}, kept by the real one and by the one in memory. */
export function processRunnerContract(name: string, harness: () => RunnerHarness): void {
  describe(`process runner: ${name}`, () => {
    const started: SupervisedProcess[] = [];
    const start = async (spec: StartSpec) => {
      const process = await harness().runner.start(spec);
      started.push(process);
      return process;
    };

    afterEach(async () => {
      for (const process of started.splice(0)) {
        await harness().runner.signal(process.identity, 'SIGKILL');
        await process.exited;
      }
    });

    it('starts a process, finds it by its data path and ends it with SIGTERM', async () => {
      const { runner, spec, settled } = harness();
      const wanted = await spec({});
      const process = await start(wanted);
      await settled(wanted);
      expect(process.adopted).toBe(false);
      expect(await runner.isAlive(process.identity)).toBe(true);
      expect(await runner.find({ dbPath: wanted.dbPath })).toMatchObject(process.identity);
      expect(await runner.signal(process.identity, 'SIGTERM')).toBe('sent');
      expect(await process.exited).toEqual({ code: 0, signal: null });
      expect(await runner.isAlive(process.identity)).toBe(false);
      expect(await runner.find({ dbPath: wanted.dbPath })).toBeNull();
    });

    it('reports the exit code of a process that ends at once', async () => {
      const process = await start(await harness().spec({ endsAtOnce: { code: 48, signal: null } }));
      expect(await process.exited).toEqual({ code: 48, signal: null });
    });

    it('ends a process that ignores SIGTERM only with SIGKILL', async () => {
      const { runner, spec, settled } = harness();
      const wanted = await spec({ ignoresSigterm: true });
      const process = await start(wanted);
      await settled(wanted);
      expect(await runner.signal(process.identity, 'SIGTERM')).toBe('sent');
      expect(await runner.isAlive(process.identity)).toBe(true);
      expect(await runner.signal(process.identity, 'SIGKILL')).toBe('sent');
      expect(await process.exited).toEqual({ code: null, signal: 'SIGKILL' });
    });

    it('says that a program which does not exist cannot be started', async () => {
      const wanted = await harness().spec({ missing: true });
      await expect(harness().runner.start(wanted)).rejects.toBeInstanceOf(StartError);
    });

    it('adopts a running process and sees its exit without a code', async () => {
      const { spec, settled, another } = harness();
      const wanted = await spec({});
      const process = await start(wanted);
      await settled(wanted);
      const adopting = another();
      const found = await adopting.find({ dbPath: wanted.dbPath });
      expect(found).toMatchObject(process.identity);
      const adopted = await adopting.adopt(found!);
      expect(adopted).toMatchObject({ adopted: true, identity: { pid: process.identity.pid } });
      expect(await adopting.signal(process.identity, 'SIGTERM')).toBe('sent');
      expect(await adopted!.exited).toEqual({ code: null, signal: null });
    });

    it('neither adopts nor signals a later process that has the same pid', async () => {
      const { runner, spec, settled } = harness();
      const wanted = await spec({});
      const process = await start(wanted);
      await settled(wanted);
      const earlier = { pid: process.identity.pid, startTime: 'another time' };
      expect(await runner.isAlive(earlier)).toBe(false);
      expect(await runner.adopt(earlier)).toBeNull();
      expect(await runner.signal(earlier, 'SIGKILL')).toBe('gone');
      expect(await runner.isAlive(process.identity)).toBe(true);
    });

    it('says that a process which has ended is gone', async () => {
      const { runner, spec } = harness();
      const process = await start(await spec({ endsAtOnce: { code: 0, signal: null } }));
      await process.exited;
      expect(await runner.signal(process.identity, 'SIGTERM')).toBe('gone');
      expect(await runner.adopt(process.identity)).toBeNull();
    });
  });
}
