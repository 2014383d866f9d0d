import { CLUSTER_STATES, type ClusterState, type DisabledReason } from '@atrest/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { atlasStateName, clusterStateDiagram, decide, type ClusterFact, type ClusterFactKind } from './cluster-state.js';

const reason: DisabledReason = {
  code: 'KEY_CONFIGURATION_INVALID',
  keyConfigurationId: 'a'.repeat(24),
  provider: 'AWS',
  keyId: 'alias/customer',
  detail: 'KEY_DISABLED',
  since: '2026-11-23T10:00:00.000Z',
};

const facts: readonly ClusterFact[] = [
  { kind: 'key-invalid', reason },
  { kind: 'key-usable' },
  { kind: 'change-accepted', moves: true },
  { kind: 'change-accepted', moves: false },
  { kind: 'deletion-accepted' },
  { kind: 'all-stopped' },
  { kind: 'all-ready' },
  { kind: 'all-serving' },
  { kind: 'all-removed' },
  { kind: 'restore-started' },
  { kind: 'restore-ended' },
];
const fact = (kind: ClusterFactKind): ClusterFact => facts.find((candidate) => candidate.kind === kind)!;

/** Follows the table as the writer does: reason, pending changes and deletion beside the state. */
function live(state: ClusterState, sequence: readonly ClusterFact[]) {
  const trace: { from: ClusterState; fact: ClusterFact; to: ClusterState; event: string | null }[] = [];
  let model = { state, reason: null as DisabledReason | null, pending: 0, applied: 0, deleted: false };
  for (const next of sequence) {
    if (model.deleted) break;
    const decision = decide(model.state, next);
    if (decision.outcome === 'ignored' || decision.outcome === 'refused') continue;
    trace.push({ from: model.state, fact: next, to: decision.to, event: decision.event });
    const has = (effect: (typeof decision.effects)[number]) => decision.effects.includes(effect);
    model = {
      state: decision.to,
      reason: has('remember-reason') ? reason : has('forget-reason') ? null : model.reason,
      applied: model.applied + (has('apply-change') ? 1 : 0) + (has('apply-pending-changes') ? model.pending : 0),
      pending: has('keep-change-pending') ? model.pending + 1 : has('apply-pending-changes') ? 0 : model.pending,
      deleted: has('mark-deleted'),
    };
  }
  return { ...model, trace };
}

const anySequence = fc.array(fc.constantFrom(...facts), { maxLength: 60 });

describe('the states of a cluster', () => {
  it('has an answer for every state and fact, and every state can be left', () => {
    for (const state of CLUSTER_STATES) {
      const answers = facts.map((each) => decide(state, each));
      expect(answers.some((answer) => answer.outcome === 'moved' || (answer.outcome === 'stayed' && answer.event === 'deleted'))).toBe(
        true,
      );
    }
  });

  it('is DISABLED only after DISABLING, and only when everything was observed to be stopped', () => {
    fc.assert(
      fc.property(anySequence, (sequence) => {
        for (const step of live('CREATING', sequence).trace) {
          if (step.to !== 'DISABLED' || step.from === 'DISABLED') continue;
          expect(step.from).toBe('DISABLING');
          expect(step.fact.kind).toBe('all-stopped');
        }
      }),
    );
  });

  it('starts to disable for no other reason than an invalid key, and knows the reason exactly while it is disabling or disabled', () => {
    fc.assert(
      fc.property(anySequence, (sequence) => {
        const end = live('CREATING', sequence);
        for (const step of end.trace) {
          if (step.to === 'DISABLING' && step.from !== 'DISABLING') expect(step.fact.kind).toBe('key-invalid');
        }
        if (end.state === 'DISABLING' || end.state === 'DISABLED') expect(end.reason).not.toBeNull();
        else if (end.state !== 'DELETING') expect(end.reason).toBeNull();
      }),
    );
  });

  it('loses no accepted change: each is applied or pending, and pending ones are applied before the cluster is anything but stopped', () => {
    fc.assert(
      fc.property(anySequence, (sequence) => {
        const end = live('CREATING', sequence);
        const accepted = end.trace.filter((step) => step.fact.kind === 'change-accepted').length;
        expect(end.applied + end.pending).toBe(accepted);
        if (end.pending > 0) expect(['DISABLING', 'DISABLED', 'DELETING']).toContain(end.state);
      }),
    );
  });

  it('takes a repeated fact without harm', () => {
    fc.assert(
      fc.property(anySequence, (sequence) => {
        const observed = sequence.filter((each) => each.kind !== 'change-accepted');
        const once = live('CREATING', observed);
        const twice = live(
          'CREATING',
          observed.flatMap((each) => [each, each]),
        );
        expect({ ...twice, trace: [] }).toEqual({ ...once, trace: [] });
        expect(twice.trace).toEqual(once.trace);
      }),
    );
  });

  it('F35 turns round when the key is valid again while stopping is half done', () => {
    const end = live('IDLE', [fact('key-invalid'), fact('change-accepted'), fact('key-usable')]);
    expect(end).toMatchObject({ state: 'ENABLING', reason: null, pending: 0, applied: 1 });
  });

  it('F34 does not take processes started by hand for an enabled cluster', () => {
    expect(live('IDLE', [fact('key-invalid'), fact('all-stopped'), fact('all-ready')]).state).toBe('DISABLED');
  });

  it('ends DISABLED when the key goes again while the cluster is being enabled', () => {
    const sequence = ['key-invalid', 'all-stopped', 'key-usable', 'key-invalid', 'all-stopped'] as const;
    expect(live('IDLE', sequence.map(fact)).state).toBe('DISABLED');
  });

  it('can be deleted in every state, without a key', () => {
    for (const state of CLUSTER_STATES) {
      const end = live(state, [fact('deletion-accepted'), fact('key-invalid'), fact('all-removed')]);
      expect(end.deleted).toBe(true);
    }
  });

  it('shows Atlas clients only states that they know', () => {
    expect(CLUSTER_STATES.map((state) => [state, atlasStateName(state)])).toEqual([
      ['CREATING', 'CREATING'],
      ['IDLE', 'IDLE'],
      ['UPDATING', 'UPDATING'],
      ['DISABLING', 'IDLE'],
      ['DISABLED', 'IDLE'],
      ['ENABLING', 'UPDATING'],
      ['RESTORING', 'UPDATING'],
      ['DELETING', 'DELETING'],
    ]);
  });

  it('draws itself', () => {
    expect(clusterStateDiagram()).toContain('  DISABLING --> ENABLING: key-usable\n');
    expect(clusterStateDiagram()).toContain('  DELETING --> [*]: all-removed\n');
  });
});
