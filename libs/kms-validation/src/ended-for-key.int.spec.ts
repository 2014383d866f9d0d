import { clusterCreated, clusterProcessEndedForKey, newObjectId } from '@atrest/contracts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { KmsValidationService } from './kms-validation.service.js';
import { clusterState, newConfiguredProject, newProject, Stage, statusOf, type ConfiguredProject } from './test-support/stage.contract.js';

describe('a server that ended for its key', () => {
  let stage: Stage;
  let service: KmsValidationService;
  let project: ConfiguredProject;

  beforeEach(async () => {
    stage = await Stage.open('ended for key');
    service = await stage.replica();
    project = await newConfiguredProject(stage, service);
    stage.clock.advance(1_000);
  });
  afterEach(() => stage.close());

  /** The event is handled twice, as by a redelivery. */
  async function ended(projectId: string, encryptionAtRestProvider: 'AWS' | 'AZURE' | 'NONE' = 'AWS'): Promise<void> {
    const cluster = clusterState(projectId, { encryptionAtRestProvider });
    await stage.deliver(clusterCreated, cluster);
    await stage.deliver(clusterProcessEndedForKey, {
      cluster,
      processId: newObjectId(),
      detail: 'The server stopped by itself: its master key is not active any more (exit code 233).',
      endedAt: stage.clock.now().toISOString(),
    });
  }

  it('F37 makes one check due at once and decides nothing: a key that can be used stays VALID', async () => {
    expect(await service.monitor.runDue()).toBe(0);
    const before = await stage.eventNames(project.projectId);
    await ended(project.projectId);
    expect((await statusOf(service, project.projectId)).state).toBe('VALID');
    expect(await service.monitor.runDue()).toBe(1);
    expect(await service.monitor.runDue()).toBe(0);
    expect(await statusOf(service, project.projectId)).toMatchObject({ state: 'VALID', evidence: [{ verdict: 'usable' }] });
    expect(await stage.eventNames(project.projectId)).toEqual(before);
  });

  it('F37 the check is the first of the confirmations when the key is gone, and no more than that', async () => {
    stage.kms.disableKey(project.keyId);
    await ended(project.projectId);
    expect((await statusOf(service, project.projectId)).state).toBe('VALID');
    expect(await service.monitor.runDue()).toBe(1);
    expect((await statusOf(service, project.projectId)).state).toBe('SUSPECT');
    for (let check = 0; check < 2; check += 1) expect(await stage.tick(service)).toBe(1);
    expect(await statusOf(service, project.projectId)).toMatchObject({ state: 'INVALID', lastEvidence: { reason: 'KEY_DISABLED' } });
  });

  it('F37 has no check made of another project, of another provider, or of a cluster without a customer key', async () => {
    await ended(await newProject(stage));
    await ended(project.projectId, 'AZURE');
    await ended(project.projectId, 'NONE');
    expect(await service.monitor.runDue()).toBe(0);
  });
});
