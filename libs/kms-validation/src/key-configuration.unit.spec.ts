import { KeyConfigurationStateSchema, type Evidence } from '@atrest/contracts';
import { describe, expect, it } from 'vitest';
import {
  applyDecision,
  createConfiguration,
  removeConfiguration,
  replaceSettings,
  statesBefore,
  type KeyConfiguration,
} from './key-configuration.js';
import type { Decision, Validity } from './validity-policy.js';

const now = new Date('2026-11-23T12:00:00.000Z');
const later = new Date('2026-11-23T13:00:00.000Z');
const ID = 'a'.repeat(24);
const PROJECT = 'b'.repeat(24);
const ARN = 'arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';

const evidence = (verdict: Evidence['verdict']): Evidence => ({
  verdict,
  reason: verdict === 'definitive' ? 'KEY_DISABLED' : null,
  errorName: null,
  message: null,
  httpStatus: null,
  requestId: null,
  at: now.toISOString(),
  observer: 'replica-1',
});

const proven = {
  settings: { region: 'EU_WEST_1', customerMasterKeyID: 'alias/orders', accessKeyID: 'AKIAIOSFODNN7EXAMPLE' },
  sealedCredentials: 'v1.k1.sealed.blob',
  checkedKeyId: 'c'.repeat(64),
  canary: {
    blob: {
      ...({ format: 1, provider: 'AWS', keyId: 'alias/orders', resolvedKeyId: ARN, keyVersion: null, mechanism: 'test' } as const),
      context: { projectId: PROJECT, purpose: 'canary' },
      ciphertext: 'AAAA',
    },
    sha256: '0'.repeat(64),
  },
  evidence: evidence('usable'),
  nextCheckAt: now,
} as const;

const created = createConfiguration({ id: ID, projectId: PROJECT, provider: 'AWS', mode: 'enforce', failClosed: false }, proven, now);

function decided(configuration: KeyConfiguration, validity: Partial<Validity>, events: Decision['events']) {
  const decision: Decision = { validity: { ...configuration.validity, ...validity }, events, nextCheckAt: later, freshClient: false };
  return applyDecision(configuration, decision, { prospects: configuration.prospects, events: [] });
}

const invalid = decided(
  created.configuration,
  { state: 'INVALID', since: later, evidence: [evidence('definitive')], unreachableAlerts: 1 },
  [{ kind: 'invalidated' }],
);

describe('a key configuration', () => {
  it('begins VALID, with a proof, and says so', () => {
    expect(created.configuration).toMatchObject({ validity: { state: 'VALID', lastProvenAt: now }, mode: 'enforce', revision: 1 });
    expect(created.publications.map(({ definition }) => definition.type)).toEqual(['io.atrest.key-configuration.saved.v1']);
  });

  it('tells what others need and no secret', () => {
    const { data } = created.publications[0]!;
    expect(KeyConfigurationStateSchema.parse(data)).toEqual(data);
    expect(data).toMatchObject({ keyId: 'alias/orders', resolvedKeyId: ARN, region: 'EU_WEST_1', enabled: true, invalidSince: null });
    expect(JSON.stringify(data)).not.toMatch(/sealed|AKIA|AAAA/);
  });

  it('carries the reason and the beginning of INVALID', () => {
    expect(invalid.publications[0]!.data).toMatchObject({
      state: 'INVALID',
      invalidSince: later.toISOString(),
      evidence: [{ reason: 'KEY_DISABLED' }],
    });
  });

  it('is VALID at once when new settings are proven, and every event has a revision of its own', () => {
    const repaired = replaceSettings(invalid.configuration, proven, later, 365);
    expect(repaired.publications.map(({ definition, data }) => [definition.type, data.revision])).toEqual([
      ['io.atrest.key-configuration.saved.v1', 3],
      ['io.atrest.key-configuration.became-reachable.v1', 4],
      ['io.atrest.key-configuration.validated.v1', 5],
    ]);
    expect(repaired.configuration).toMatchObject({ revision: 5, validity: { state: 'VALID', since: later, evidence: [] }, createdAt: now });
  });

  it('begins a new epoch with another key, and not with new credentials or another name of the same key', () => {
    expect(created.publications[0]!.data.epoch).toBe(1);
    const blob = { ...proven.canary.blob, keyId: ARN };
    expect(replaceSettings(created.configuration, { ...proven, canary: { ...proven.canary, blob } }, later, 365).configuration.epoch).toBe(
      1,
    );
    for (const change of [{ resolvedKeyId: `${ARN}0` }, { keyVersion: '2' }]) {
      const other = { ...proven, canary: { ...proven.canary, blob: { ...blob, ...change } } };
      const { publications } = replaceSettings(created.configuration, other, later, 365);
      expect(publications.map(({ data }) => [data.epoch, data.atlasEventType])).toEqual([
        [2, 'ENCRYPTION_AT_REST_CONFIGURATION_UPDATED'],
        [2, 'AWS_ENCRYPTION_KEY_ROTATED'],
      ]);
    }
  });

  it('a check without an event keeps the revision, so that it is no conflict for anybody', () => {
    expect(decided(created.configuration, {}, []).configuration.revision).toBe(1);
  });

  it('says on removal that it is not enabled any more', () => {
    expect(removeConfiguration(created.configuration).publications).toMatchObject([{ data: { enabled: false, revision: 2 } }]);
  });

  it('puts the finding into attention-needed and nowhere else', () => {
    const attention = { kind: 'ALIAS_MOVED', detail: 'moved', at: now.toISOString() } as const;
    const { publications } = decided(created.configuration, {}, [
      { kind: 'attention-needed', attention },
      { kind: 'became-unreachable', alertLevel: 'PROJECT_OWNERS' },
    ]);
    expect(publications.map(({ data }) => data.attention)).toEqual([attention, undefined]);
  });

  it('is written only over states that may come before', () => {
    expect(statesBefore('INVALID').toSorted()).toEqual(['HELD', 'INVALID', 'SUSPECT']);
    expect(statesBefore('SUSPECT').toSorted()).toEqual(['SUSPECT', 'VALID']);
    expect(statesBefore('HELD').toSorted()).toEqual(['HELD', 'SUSPECT']);
    expect(statesBefore('VALID').toSorted()).toEqual(['HELD', 'INVALID', 'SUSPECT', 'VALID']);
  });
});
