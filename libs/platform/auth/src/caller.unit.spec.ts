import type { RoleGrant } from '@atrest/contracts';
import { describe, expect, it } from 'vitest';
import { callerOf } from './caller.js';

const orgA = 'a'.repeat(24);
const orgB = 'b'.repeat(24);
const project1 = '1'.repeat(24);
const project2 = '2'.repeat(24);

const account = (...grants: RoleGrant[]) => ({
  clientId: `mdb_sa_id_${'c'.repeat(24)}`,
  orgId: orgA,
  name: 'ci',
  grants,
  signingKeys: [],
  deletedAt: null,
  revision: 1,
});
const owner: RoleGrant = { role: 'ORG_OWNER', orgId: orgA, projectId: null };

describe('Caller.hasRole', () => {
  it("an organisation's owner has every role in its projects, once their organisation is known", () => {
    const caller = callerOf(account(owner), { id: project1, orgId: orgA });
    expect(caller.hasRole('ORG_OWNER')).toBe(true);
    expect(caller.hasRole('GROUP_OWNER', project1)).toBe(true);
    expect(caller.hasRole('GROUP_OWNER', { id: project2, orgId: orgA })).toBe(true);
  });

  it('an id alone never stands for a project of the own organisation', () => {
    const caller = callerOf(account(owner), { id: project1, orgId: orgA });
    expect(caller.hasRole('GROUP_READ_ONLY', project2)).toBe(false);
    expect(caller.hasRole('GROUP_READ_ONLY', { id: project2, orgId: orgB })).toBe(false);
  });

  it('a project role reaches its project only', () => {
    const caller = callerOf(account({ role: 'GROUP_CLUSTER_MANAGER', orgId: null, projectId: project1 }));
    expect(caller.hasRole('GROUP_READ_ONLY', project1)).toBe(true);
    expect(caller.hasRole('GROUP_OWNER', project1)).toBe(false);
    expect(caller.hasRole('GROUP_READ_ONLY', project2)).toBe(false);
    expect(caller.hasRole('ORG_OWNER')).toBe(false);
  });
});
