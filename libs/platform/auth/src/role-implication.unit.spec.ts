import { ROLES, type Role, type RoleGrant } from '@atrest/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideOrganisationAccess, decideProjectAccess, implies } from './role-implication.js';

const orgA = 'a'.repeat(24);
const orgB = 'b'.repeat(24);
const project1 = '1'.repeat(24);
const project2 = '2'.repeat(24);

const owner = (orgId: string): RoleGrant => ({ role: 'ORG_OWNER', orgId, projectId: null });
const inProject = (role: Exclude<Role, 'ORG_OWNER'>, projectId: string): RoleGrant => ({ role, orgId: null, projectId });

describe('implies', () => {
  const yes = true;
  const no = false;
  // granted → ORG_OWNER, GROUP_OWNER, GROUP_READ_ONLY, GROUP_CLUSTER_MANAGER, GROUP_BACKUP_MANAGER (the order of ROLES)
  it.each<[Role, boolean[]]>([
    ['ORG_OWNER', [yes, yes, yes, yes, yes]],
    ['GROUP_OWNER', [no, yes, yes, yes, yes]],
    ['GROUP_READ_ONLY', [no, no, yes, no, no]],
    ['GROUP_CLUSTER_MANAGER', [no, no, yes, yes, no]],
    ['GROUP_BACKUP_MANAGER', [no, no, yes, no, yes]],
  ])('%s', (granted, expected) => {
    expect(ROLES.map((asked) => implies(granted, asked))).toEqual(expected);
  });

  it('is a partial order: reflexive, transitive, antisymmetric', () => {
    const role = fc.constantFrom(...ROLES);
    fc.assert(
      fc.property(role, role, role, (a, b, c) => {
        expect(implies(a, a)).toBe(true);
        if (implies(a, b) && implies(b, c)) expect(implies(a, c)).toBe(true);
        if (a !== b && implies(a, b)) expect(implies(b, a)).toBe(false);
      }),
    );
  });
});

describe('decideProjectAccess', () => {
  it.each<[string, RoleGrant[], Role[], { id: string; orgId: string | null }, ReturnType<typeof decideProjectAccess>]>([
    ['a role in the project', [inProject('GROUP_BACKUP_MANAGER', project1)], ['GROUP_READ_ONLY'], { id: project1, orgId: null }, 'allowed'],
    [
      'any of the asked roles',
      [inProject('GROUP_BACKUP_MANAGER', project1)],
      ['GROUP_CLUSTER_MANAGER', 'GROUP_BACKUP_MANAGER'],
      { id: project1, orgId: orgA },
      'allowed',
    ],
    ['a lesser role', [inProject('GROUP_READ_ONLY', project1)], ['GROUP_OWNER'], { id: project1, orgId: orgA }, 'forbidden'],
    [
      'a role in another project',
      [inProject('GROUP_OWNER', project2)],
      ['GROUP_READ_ONLY'],
      { id: project1, orgId: orgA },
      'unknown-project',
    ],
    ['the owner of the organisation', [owner(orgA)], ['GROUP_OWNER'], { id: project1, orgId: orgA }, 'allowed'],
    ['the owner of another organisation', [owner(orgB)], ['GROUP_READ_ONLY'], { id: project1, orgId: orgA }, 'unknown-project'],
    ['an owner when the project is unknown', [owner(orgA)], ['GROUP_READ_ONLY'], { id: project1, orgId: null }, 'unknown-project'],
    ['no grants', [], ['GROUP_READ_ONLY'], { id: project1, orgId: orgA }, 'unknown-project'],
    [
      'a malformed owner grant',
      [{ role: 'ORG_OWNER', orgId: null, projectId: project1 }],
      ['GROUP_READ_ONLY'],
      { id: project1, orgId: null },
      'unknown-project',
    ],
    [
      'a malformed project grant',
      [{ role: 'GROUP_OWNER', orgId: orgA, projectId: null }],
      ['GROUP_READ_ONLY'],
      { id: project1, orgId: orgA },
      'unknown-project',
    ],
  ])('%s', (_, grants, asked, project, expected) => {
    expect(decideProjectAccess(grants, asked, project)).toBe(expected);
  });

  it('an empty list of roles lets nobody in', () => {
    expect(decideProjectAccess([owner(orgA)], [], { id: project1, orgId: orgA })).toBe('forbidden');
  });
});

describe('decideOrganisationAccess', () => {
  it.each<[string, RoleGrant[], Role[], string, 'allowed' | 'forbidden']>([
    ['its owner', [owner(orgA)], ['ORG_OWNER'], orgA, 'allowed'],
    ['the owner of another one', [owner(orgB)], ['ORG_OWNER'], orgA, 'forbidden'],
    ['the owner of a project', [inProject('GROUP_OWNER', project1)], ['ORG_OWNER'], orgA, 'forbidden'],
    ['a project role is not a role in the organisation', [inProject('GROUP_OWNER', project1)], ['GROUP_READ_ONLY'], orgA, 'forbidden'],
    ['nobody', [], ['ORG_OWNER'], orgA, 'forbidden'],
  ])('%s', (_, grants, asked, orgId, expected) => {
    expect(decideOrganisationAccess(grants, asked, orgId)).toBe(expected);
  });
});
