import { randomUUID } from 'node:crypto';
import {
  COMMAND_MAX_AGE_MS,
  COMMAND_MAX_LEAD_MS,
  RESTORE_COMMAND_REJECTIONS,
  ROLES,
  type RestoreCommand,
  type RoleGrant,
} from '@atrest/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decide, type CommandFacts } from './command-decision.js';
import { digestOf } from './command-digest.js';

const now = new Date('2026-11-23T12:00:00.000Z');
const orgId = 'a'.repeat(24);
const sourceId = '1'.repeat(24);
const targetId = '2'.repeat(24);
const account = `mdb_sa_id_${'c'.repeat(24)}`;
const inProject = (role: RoleGrant['role'], projectId: string): RoleGrant => ({ role, orgId: null, projectId });
const owner: RoleGrant = { role: 'ORG_OWNER', orgId, projectId: null };

const command = (o: Partial<RestoreCommand> = {}): RestoreCommand => ({
  commandId: randomUUID(),
  idempotencyKey: 'release-42',
  issuedAt: now.toISOString(),
  actingServiceAccount: account,
  source: { projectId: sourceId, clusterName: 'orders' },
  target: { projectId: targetId, clusterName: 'copy' },
  delivery: { deliveryType: 'automated', snapshotId: 'e'.repeat(24) },
  ...o,
});
const facts = (o: Partial<CommandFacts> = {}): CommandFacts => ({
  signedBy: account,
  grants: [inProject('GROUP_BACKUP_MANAGER', sourceId), inProject('GROUP_BACKUP_MANAGER', targetId)],
  digest: 'd1',
  earlier: null,
  source: { project: { id: sourceId, orgId, deleted: false }, cluster: 'present' },
  target: { project: { id: targetId, orgId, deleted: false }, cluster: 'present' },
  ...o,
});
const reasonOf = (decision: ReturnType<typeof decide>): string => (decision.kind === 'rejected' ? decision.reason : decision.kind);
const end = (which: 'source' | 'target', o: Partial<CommandFacts['source']>): CommandFacts =>
  facts({ [which]: { ...facts()[which], ...o } });

describe('deciding a restore command', () => {
  it('this release takes none, however right it is', () => {
    for (const grants of [facts().grants, [owner], [inProject('GROUP_OWNER', sourceId), inProject('GROUP_OWNER', targetId)]]) {
      expect(reasonOf(decide(command(), facts({ grants }), now))).toBe('RESTORES_NOT_SERVED');
    }
  });

  it.each([
    ['as old as it may be', -COMMAND_MAX_AGE_MS, 'RESTORES_NOT_SERVED'],
    ['older', -COMMAND_MAX_AGE_MS - 1, 'EXPIRED'],
    ['weeks old', -30 * 86_400_000, 'EXPIRED'],
    ['as far ahead as it may be', COMMAND_MAX_LEAD_MS, 'RESTORES_NOT_SERVED'],
    ['further ahead', COMMAND_MAX_LEAD_MS + 1, 'EXPIRED'],
  ])('issued at a time that is %s', (_, offsetMs, reason) => {
    expect(reasonOf(decide(command({ issuedAt: new Date(now.getTime() + offsetMs).toISOString() }), facts(), now))).toBe(reason);
  });

  it.each([
    ['the role in the source only', [inProject('GROUP_OWNER', sourceId)], 'UNKNOWN_PROJECT'],
    ['the role in the target only', [inProject('GROUP_OWNER', targetId)], 'UNKNOWN_PROJECT'],
    ['no role at all', [], 'UNKNOWN_PROJECT'],
    ['an owner of another organisation', [{ ...owner, orgId: 'b'.repeat(24) }], 'UNKNOWN_PROJECT'],
    ['too little in the target', [inProject('GROUP_OWNER', sourceId), inProject('GROUP_CLUSTER_MANAGER', targetId)], 'NOT_AUTHORISED'],
    ['too little in the source', [inProject('GROUP_READ_ONLY', sourceId), inProject('GROUP_OWNER', targetId)], 'NOT_AUTHORISED'],
  ])('of an account with %s', (_, grants, reason) => {
    expect(reasonOf(decide(command(), facts({ grants }), now))).toBe(reason);
  });

  it.each(['source', 'target'] as const)('a %s project that is unknown, deleted or of others is the same to the sender', (which) => {
    const project = facts()[which].project!;
    const grants = facts().grants.filter(({ projectId }) => projectId !== project.id);
    const answers = [
      decide(command(), end(which, { project: null, cluster: 'unknown' }), now),
      decide(command(), end(which, { project: { ...project, deleted: true } }), now),
      decide(command(), facts({ grants }), now),
    ];
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(reasonOf(answers[0]!)).toBe('UNKNOWN_PROJECT');
  });

  it('the target must be there; of the source it is enough that it was', () => {
    expect(reasonOf(decide(command(), end('source', { cluster: 'deleted' }), now))).toBe('RESTORES_NOT_SERVED');
    expect(reasonOf(decide(command(), end('source', { cluster: 'unknown' }), now))).toBe('UNKNOWN_CLUSTER');
    expect(reasonOf(decide(command(), end('target', { cluster: 'deleted' }), now))).toBe('UNKNOWN_CLUSTER');
    expect(reasonOf(decide(command(), end('target', { cluster: 'unknown' }), now))).toBe('UNKNOWN_CLUSTER');
  });

  it('the same command again says nothing new, another one under its key is rejected, whatever else is wrong', () => {
    const late = command({ issuedAt: '2020-01-01T00:00:00.000Z' });
    expect(decide(late, facts({ earlier: { digest: 'd1' }, grants: [] }), now)).toEqual({ kind: 'known' });
    expect(reasonOf(decide(late, facts({ earlier: { digest: 'd2' }, grants: [] }), now))).toBe('IDEMPOTENCY_KEY_REUSED');
  });

  it('who signs for somebody else is told so first, and learns nothing of what that account did', () => {
    const stolen = command({ actingServiceAccount: `mdb_sa_id_${'e'.repeat(24)}` });
    expect(reasonOf(decide(stolen, facts({ earlier: { digest: 'd1' } }), now))).toBe('INVALID_SIGNATURE');
  });

  it('nothing that is ever sent is accepted, and each refusal has a declared reason', () => {
    const project = (id: string) =>
      fc.option(fc.record({ id: fc.constant(id), orgId: fc.constantFrom(orgId, 'b'.repeat(24)), deleted: fc.boolean() }));
    const cluster = fc.constantFrom('present' as const, 'deleted' as const, 'unknown' as const);
    const grant = fc.record({
      role: fc.constantFrom(...ROLES),
      orgId: fc.option(fc.constantFrom(orgId)),
      projectId: fc.option(fc.constantFrom(sourceId, targetId)),
    });
    const anyFacts = fc.record({
      signedBy: fc.constantFrom(account, `mdb_sa_id_${'e'.repeat(24)}`),
      grants: fc.array(grant, { maxLength: 4 }),
      digest: fc.constant('d1'),
      earlier: fc.option(fc.record({ digest: fc.constantFrom('d1', 'd2') })),
      source: fc.record({ project: project(sourceId), cluster }),
      target: fc.record({ project: project(targetId), cluster }),
    });
    fc.assert(
      fc.property(anyFacts, fc.integer({ min: -40 * 86_400_000, max: 86_400_000 }), (given, offsetMs) => {
        const decision = decide(command({ issuedAt: new Date(now.getTime() + offsetMs).toISOString() }), given, now);
        expect(decision.kind).not.toBe('accepted');
        if (decision.kind === 'rejected') expect(RESTORE_COMMAND_REJECTIONS).toContain(decision.reason);
      }),
    );
  });
});

describe('the digest of a command', () => {
  it('does not depend on the time of issue or the order of members, and on everything else', () => {
    const one = command();
    const reordered = Object.fromEntries(Object.entries(one).toReversed()) as unknown as RestoreCommand;
    expect(digestOf(reordered)).toBe(digestOf(one));
    expect(digestOf({ ...one, issuedAt: '2026-11-23T12:05:00.000Z' })).toBe(digestOf(one));
    const others = [
      { ...one, commandId: randomUUID() },
      { ...one, idempotencyKey: 'x' },
      { ...one, source: one.target },
      { ...one, target: { ...one.target, clusterName: 'x' } },
      { ...one, delivery: { deliveryType: 'pointInTime' as const, pointInTimeUTCSeconds: 1 } },
    ];
    expect(new Set([one, ...others].map(digestOf)).size).toBe(others.length + 1);
  });
});
