import { newObjectId, type KeyConfigurationState } from '@atrest/contracts';
import { describe, expect, it } from 'vitest';
import { following, held, hold, invalid, keyState, START } from '../test-support/stage.contract.js';
import { incidentChanges, judgeIncident, type EntryOutcome, type IncidentEntry } from './incident.js';

const valid = keyState(newObjectId());
const waiting = held(valid);
const changes = (event: Parameters<typeof incidentChanges>[0], state: KeyConfigurationState): string[] =>
  incidentChanges(event, state, START).map((each) =>
    each.change === 'join' ? `join ${each.cause}${each.overdue ? ' overdue' : ''}` : `${each.kind} ${each.outcome}`,
  );

describe('what an event means for the incidents of the operators', () => {
  it('joins with a held shutdown, and ends with a decision or a usable key', () => {
    expect(changes('held', waiting)).toContain('join shutdowns-held');
    expect(changes('hold-overdue', waiting)).toContain('join shutdowns-held overdue');
    for (const decision of ['RELEASED', 'CANCELLED'] as const) {
      expect(changes('hold-decided', following(waiting, { hold: hold({ decision, decidedBy: 'ops' }) }))).toContain(
        `SHUTDOWNS_HELD ${decision}`,
      );
    }
    expect(changes('hold-ended', valid)).toContain('SHUTDOWNS_HELD OVER');
    expect(changes('invalidated', invalid(valid, START))).toContain('SHUTDOWNS_HELD CARRIED_OUT');
    expect(changes('removed', { ...waiting, enabled: false })).toEqual(['SHUTDOWNS_HELD REMOVED', 'KMS_UNREACHABLE REMOVED']);
    // Nothing that happens meanwhile ends it.
    for (const event of ['attention-needed', 'policy-changed', 'became-unreachable'] as const) {
      expect(changes(event, { ...waiting, unreachableSince: START.toISOString() })).toEqual([]);
    }
  });

  it('makes one incident of all keys in one region of a cloud, and one of each appliance', () => {
    const out = (change: Partial<KeyConfigurationState>): string | undefined =>
      changes('unreachable-escalated', {
        ...keyState(newObjectId()),
        unreachableSince: START.toISOString(),
        alertLevel: 'OPERATORS',
        ...change,
      }).find((each) => each.startsWith('join'));
    expect(out({})).toBe('join kms-unreachable/AWS/US_EAST_1');
    expect(out({})).toBe(out({}));
    expect(out({ region: 'EU_WEST_1' })).not.toBe(out({}));
    expect(out({ provider: 'AZURE', region: null })).toBe(out({ provider: 'AZURE', region: null }));
    expect(out({ provider: 'KMIP', region: null })).not.toBe(out({ provider: 'KMIP', region: null }));
    expect(out({ alertLevel: 'PROJECT_OWNERS' })).toBeUndefined();
    expect(out({ alertLevel: 'ORGANISATION_OWNERS' })).toBeUndefined();
  });
});

describe('what is told of an incident', () => {
  const entry = (outcome: EntryOutcome, change: Partial<IncidentEntry> = {}): IncidentEntry => ({
    project: { id: valid.projectId, name: 'Orders', orgId: null },
    state: waiting,
    since: START,
    outcome,
    decidedBy: null,
    overdue: false,
    told: false,
    clusters: 1,
    ...change,
  });

  it.each([
    ['nothing was told yet', 0, [entry('OPEN')], 'news', false],
    ['the breaker was heard of before any configuration', 0, [], 'news', false],
    ['all were told', 1, [entry('OPEN', { told: true }), entry('RELEASED', { told: true })], null, false],
    ['one more joined', 1, [entry('OPEN', { told: true }), entry('OPEN')], 'news', false],
    ['nobody decided in time', 1, [entry('OPEN', { told: true, overdue: true })], 'overdue', false],
    ['all is decided', 1, [entry('RELEASED'), entry('OVER')], 'closed', true],
    ['all was over before anything was told', 0, [entry('OVER')], null, true],
  ] as const)('%s', (_, pages, entries, page, closes) => {
    expect(judgeIncident({ pages }, entries)).toEqual({ page, closes });
  });
});
