import { BACKUP_FAILURES, type BackupFailureCode } from '@atrest/contracts';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SnapshotCatalogService } from './snapshot-catalog.service.js';
import { progressAt, proofAt, Stage } from './test-support/stage.contract.js';

/** What people, agents and time do, in any order. */
type Step =
  | { readonly kind: 'take' | 'cancel' | 'delete' | 'begin' | 'finish' | 'prove' | 'clear' | 'loops' }
  | { readonly kind: 'fail'; readonly code: BackupFailureCode }
  | { readonly kind: 'wait'; readonly hours: number };

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom('take', 'begin', 'finish', 'finish', 'loops', 'loops').map((kind): Step => ({ kind })) },
  { weight: 4, arbitrary: fc.constantFrom('cancel', 'delete', 'prove', 'clear').map((kind): Step => ({ kind })) },
  { weight: 2, arbitrary: fc.constantFrom(...BACKUP_FAILURES).map((code): Step => ({ kind: 'fail', code })) },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 60 }).map((hours): Step => ({ kind: 'wait', hours })) },
);

describe('whatever happens, in whatever order', () => {
  let stage: Stage;
  let service: SnapshotCatalogService;

  beforeAll(async () => {
    stage = await Stage.open('random_life');
    service = await stage.replica();
  });
  afterAll(() => stage.close());

  async function carryOut(step: Step, projectId: string): Promise<void> {
    const of = (kind: string) => stage.jobs.find((job) => job.kind === kind);
    const taking = of('take-snapshot');
    const listed = await service.snapshots.list(projectId, 'orders', { offset: 0, limit: 50 });
    const snapshots = listed.kind === 'done' ? listed.value.snapshots : [];
    switch (step.kind) {
      case 'take':
        await service.snapshots.take(projectId, 'orders', { retentionInDays: 1 });
        break;
      case 'cancel':
        if (snapshots[0]) await service.snapshots.cancel(projectId, 'orders', snapshots[0].id);
        break;
      case 'delete':
        if (snapshots[0]) await service.snapshots.delete(projectId, 'orders', snapshots[0].id);
        break;
      case 'begin':
        if (taking) await stage.say(taking, { progress: progressAt(stage.clock.now(), 0.5) });
        break;
      case 'finish':
        if (taking) await stage.taken();
        break;
      case 'fail': {
        const job = stage.jobs[0];
        if (job) await stage.say(job, { status: 'FAILED', failure: { code: step.code, detail: 'It failed.' } });
        break;
      }
      case 'prove': {
        const job = of('prove-snapshot');
        if (job) await stage.say(job, { status: 'DONE', result: { proof: proofAt(stage.clock.now()) } });
        break;
      }
      case 'clear':
        if (of('delete-snapshots')) await stage.cleared();
        break;
      case 'wait':
        stage.clock.advance(step.hours * 3_600_000);
        break;
      case 'loops':
        await service.scheduler.runDue();
        await service.groomer.run();
        await service.proofs.runDue();
        await service.loops.watch();
    }
    await stage.settled();
  }

  it('counters say what counting says, nothing is taken twice at once, what is kept is never cleared', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { minLength: 30, maxLength: 30 }), async (steps) => {
        await stage.reset();
        const { id, projectId } = await stage.cluster();
        for (const step of steps) {
          await carryOut(step, projectId);
          expect(stage.jobs.filter(({ kind }) => kind === 'take-snapshot').length).toBeLessThanOrEqual(1);
        }
        expect(await stage.miscounts()).toEqual([]);
        const cleared = stage.jobs.flatMap((job) => (job.kind === 'delete-snapshots' ? job.snapshotIds : []));
        const kept = await stage.database.query(
          `SELECT id FROM snapshot WHERE id = ANY ($1) AND deleted_at IS NULL AND status <> 'failed'`,
          [cleared],
        );
        expect(kept).toEqual([]);
        // An event for every state, in the order of the states.
        const revisions = new Map<string, number>();
        for (const { data } of await stage.snapshotEvents(id)) {
          expect(data.revision).toBeGreaterThan(revisions.get(data.id) ?? 0);
          revisions.set(data.id, data.revision);
        }
      }),
      { numRuns: 3 },
    );
  });
});
