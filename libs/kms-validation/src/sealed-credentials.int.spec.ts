import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KmsValidationService } from './kms-validation.service.js';
import { newConfiguredProject, Stage, statusOf, type ConfiguredProject } from './test-support/stage.contract.js';

describe('sealed credentials', () => {
  let stage: Stage;
  let service: KmsValidationService;
  let project: ConfiguredProject;

  beforeAll(async () => {
    stage = await Stage.open('sealed credentials');
    service = await stage.replica();
    project = await newConfiguredProject(stage, service);
  });
  afterAll(() => stage?.close());

  const sealedText = async (): Promise<{ id: string; sealed_credentials: string; sealing_key_id: string }> =>
    (await stage.database.query<{ id: string; sealed_credentials: string; sealing_key_id: string }>('SELECT * FROM key_configuration'))[0]!;

  it('are sealed anew under the current key by a replica that has both, and stay usable', async () => {
    const before = await sealedText();
    expect(before).toMatchObject({ sealing_key_id: 'k1' });
    const rotated = await stage.replica('rotated', { sealingKeys: stage.rotatedSealingKeys() });
    await rotated.housekeeping.run();
    const after = await sealedText();
    expect(after).toMatchObject({ sealing_key_id: 'k2' });
    expect(after.sealed_credentials).toMatch(/^v1\.k2\./);
    await stage.tick(rotated);
    expect(await statusOf(rotated, project.projectId)).toMatchObject({ lastEvidence: { verdict: 'usable', observer: 'rotated' } });
    expect(await stage.eventNames()).toEqual(['saved']);
  });

  it('do not open in another row', async () => {
    const other = await newConfiguredProject(stage, service);
    await stage.database.query(
      `UPDATE key_configuration SET sealed_credentials = (SELECT sealed_credentials FROM key_configuration WHERE project_id = $1) WHERE project_id = $2`,
      [project.projectId, other.projectId],
    );
    const fresh = await stage.replica('fresh', { sealingKeys: stage.rotatedSealingKeys() });
    const outcome = await fresh.useCases.check(other.projectId, 'AWS');
    expect(outcome).toMatchObject({
      kind: 'done',
      value: { verdict: 'transient', reason: 'UNCLASSIFIED', lastEvidence: { errorName: 'SealBrokenError' } },
    });
  });
});
