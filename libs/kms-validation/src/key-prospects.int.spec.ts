import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { KmsValidationService } from './kms-validation.service.js';
import { newConfiguredProject, Stage, statusOf, valueOf, type ConfiguredProject } from './test-support/stage.contract.js';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

describe('the future and the age of a key', () => {
  let stage: Stage;
  let service: KmsValidationService;
  let project: ConfiguredProject;

  beforeEach(async () => {
    stage = await Stage.open('key prospects', { policy: { intervalMs: HOUR } });
    service = await stage.replica();
    project = await newConfiguredProject(stage, service);
  });
  afterEach(() => stage.close());

  /** Checks as they are due until then. */
  async function pass(ms: number): Promise<void> {
    const end = stage.clock.now().getTime() + ms;
    for (;;) {
      const due = Date.parse((await statusOf(service, project.projectId)).nextCheckAt);
      if (due > end) break;
      await stage.tick(service);
    }
    stage.clock.set(new Date(end));
  }

  it('F02 a scheduled deletion is warned of with the command that cancels it, and its cancellation is told', async () => {
    stage.kms.scheduleKeyDeletion(project.keyId);
    await pass(7 * HOUR);
    const warning = (await stage.events()).find(({ name }) => name === 'end-approaching' || name === 'invalidated');
    expect(warning).toBeDefined();
    await pass(30 * DAY);
    const warnings = (await stage.events()).filter(({ name }) => name === 'end-approaching').map(({ data }) => data.ending!);
    expect(warnings.map(({ kind, daysLeft }) => [kind, daysLeft])).toEqual([
      ['DELETION', 7],
      ['DELETION', 3],
      ['DELETION', 1],
    ]);
    expect(warnings[0]!.command).toBe(
      `aws kms cancel-key-deletion --region us-east-1 --key-id ${project.arn} && aws kms enable-key --region us-east-1 --key-id ${project.arn}`,
    );
    stage.kms.cancelKeyDeletion(project.keyId);
    stage.kms.enableKey(project.keyId);
    await pass(7 * HOUR);
    expect((await stage.eventNames()).slice(-2)).toEqual(['validated', 'end-called-off']);
  });

  it('a key without the right to be described is checked as ever', async () => {
    stage.kms.deny({ keyId: project.keyId, operations: ['DescribeKey'] });
    await pass(2 * DAY);
    expect(await stage.eventNames()).toEqual(['saved']);
    expect((await statusOf(service, project.projectId)).state).toBe('VALID');
  });

  it('after a year without a rotation somebody is reminded once; another key starts anew', async () => {
    stage.clock.advance(364 * DAY);
    await stage.tick(service);
    expect(await stage.eventNames()).toEqual(['saved']);
    await pass(3 * DAY);
    const [, due, ...others] = await stage.events();
    expect(others).toEqual([]);
    expect(due).toMatchObject({
      name: 'rotation-due',
      data: { atlasEventType: 'AWS_ENCRYPTION_KEY_NEEDS_ROTATION', rotation: { ageDays: 365, reminderDays: 365, automatic: false } },
    });
    const customerMasterKeyID = stage.kms.createKey().keyId;
    valueOf(await service.useCases.change(project.projectId, { awsKms: { customerMasterKeyID } }));
    await pass(2 * DAY);
    expect((await stage.eventNames()).slice(2)).toEqual(['saved', 'rotated']);
    expect((await stage.events()).at(-1)!.data).toMatchObject({ epoch: 2, rotation: { ageDays: 0 } });
  });
});
