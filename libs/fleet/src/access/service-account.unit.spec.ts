import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hashSecret, matchSecret, maskSecret, newSecretValue, type StoredSecret } from './service-account-secret.js';
import {
  AccessError,
  deleted,
  describe as described,
  reachesBeyond,
  rolesInProject,
  stateOf,
  withoutSigningKey,
  withOrganisationRoles,
  withProjectRoles,
  withSigningKey,
  type CommandKey,
  type ServiceAccount,
} from './service-account.js';

const now = new Date('2026-11-23T00:00:00Z');
const orgId = 'a'.repeat(24);
const project1 = '1'.repeat(24);
const project2 = '2'.repeat(24);
const account = (o: Partial<ServiceAccount> = {}): ServiceAccount => ({
  clientId: `mdb_sa_id_${'c'.repeat(24)}`,
  orgId,
  name: 'ci',
  description: 'builds',
  orgRoles: ['ORG_MEMBER'],
  projectRoles: [],
  signingKeys: [],
  createdAt: now,
  deletedAt: null,
  revision: 3,
  ...o,
});

describe('service account', () => {
  it('the last owner can be neither demoted nor deleted', () => {
    const owner = account({ orgRoles: ['ORG_OWNER'] });
    expect(() => withOrganisationRoles(owner, ['ORG_MEMBER'], 0)).toThrow(expect.objectContaining({ code: 'LAST_ORG_OWNER' }));
    expect(() => withOrganisationRoles(owner, [], 0)).toThrow(AccessError);
    expect(() => deleted(owner, now, 0)).toThrow(expect.objectContaining({ code: 'LAST_ORG_OWNER' }));
    expect(withOrganisationRoles(owner, ['ORG_MEMBER'], 1).orgRoles).toEqual(['ORG_MEMBER']);
    expect(deleted(owner, now, 1).deletedAt).toEqual(now);
    expect(withOrganisationRoles(owner, ['ORG_OWNER', 'ORG_MEMBER'], 0).orgRoles).toEqual(['ORG_OWNER', 'ORG_MEMBER']);
    expect(deleted(account(), now, 0).deletedAt).toEqual(now);
  });

  it('a change that changes nothing is the same object, so that it makes no event', () => {
    const before = account({ projectRoles: [{ projectId: project1, roles: ['GROUP_OWNER', 'GROUP_READ_ONLY'] }] });
    expect(described(before, {})).toBe(before);
    expect(described(before, { name: 'ci' })).toBe(before);
    expect(withOrganisationRoles(before, ['ORG_MEMBER', 'ORG_MEMBER'], 0)).toBe(before);
    expect(withProjectRoles(before, project1, ['GROUP_READ_ONLY', 'GROUP_OWNER'])).toBe(before);
    expect(withProjectRoles(before, project2, [])).toBe(before);
  });

  it('roles of one project leave those of others alone', () => {
    const one = withProjectRoles(account(), project1, ['GROUP_OWNER']);
    const two = withProjectRoles(one, project2, ['GROUP_READ_ONLY', 'GROUP_READ_ONLY']);
    expect(rolesInProject(two, project1)).toEqual(['GROUP_OWNER']);
    expect(rolesInProject(two, project2)).toEqual(['GROUP_READ_ONLY']);
    expect(reachesBeyond(one, project1)).toBe(false);
    expect(reachesBeyond(two, project1)).toBe(true);
    expect(reachesBeyond(account({ orgRoles: ['ORG_OWNER'] }), project1)).toBe(true);
    expect(withProjectRoles(two, project1, []).projectRoles).toEqual([{ projectId: project2, roles: ['GROUP_READ_ONLY'] }]);
  });

  it('tells the others its grants, and none once deleted', () => {
    const full = account({
      orgRoles: ['ORG_OWNER', 'ORG_MEMBER'],
      projectRoles: [{ projectId: project1, roles: ['GROUP_BACKUP_MANAGER'] }],
    });
    expect(stateOf(full).grants).toEqual([
      { role: 'ORG_OWNER', orgId, projectId: null },
      { role: 'GROUP_BACKUP_MANAGER', orgId: null, projectId: project1 },
    ]);
    expect(stateOf(deleted(full, now, 1))).toMatchObject({ grants: [], deletedAt: now.toISOString() });
  });
});

describe('signing keys', () => {
  const key = (id: string): CommandKey => ({
    id,
    publicJwk: { kty: 'OKP', crv: 'Ed25519', x: id.repeat(43) },
    createdAt: now.toISOString(),
  });

  it('a key is there once, leaves the others alone, and there is an end to them', () => {
    const one = withSigningKey(account(), key('a'));
    expect(withSigningKey(one, { ...key('a'), createdAt: '2030-01-01T00:00:00.000Z' })).toBe(one);
    const two = withSigningKey(one, key('b'));
    expect(withoutSigningKey(two, 'a').signingKeys).toEqual([key('b')]);
    expect(() => withoutSigningKey(two, 'c')).toThrow(expect.objectContaining({ code: 'SIGNING_KEY_UNKNOWN', subject: 'c' }));
    const full = Array.from('abcdefgh').reduce((before, id) => withSigningKey(before, key(id)), account());
    expect(() => withSigningKey(full, key('i'))).toThrow(expect.objectContaining({ code: 'TOO_MANY_SIGNING_KEYS' }));
    expect(withSigningKey(full, key('h'))).toBe(full);
  });

  it('tells the others its keys by the names that commands give, and none once deleted', () => {
    const one = withSigningKey(account(), key('a'));
    expect(stateOf(one).signingKeys).toEqual([{ kid: `${one.clientId}#a`, publicJwk: key('a').publicJwk }]);
    expect(stateOf(deleted(one, now, 1)).signingKeys).toEqual([]);
  });
});

describe('secrets', () => {
  const stored = (value: string, o: Partial<StoredSecret> = {}): StoredSecret => ({
    id: '0'.repeat(24),
    clientId: account().clientId,
    hash: hashSecret(value),
    masked: maskSecret(value),
    createdAt: now,
    expiresAt: new Date(now.getTime() + 1),
    lastUsedAt: null,
    ...o,
  });

  it('have the shape clients expect and need no percent-encoding', () => {
    for (let i = 0; i < 50; i += 1) {
      const value = newSecretValue();
      expect(value).toMatch(/^mdb_sa_sk_[A-Za-z0-9_-]{43}$/);
      expect(encodeURIComponent(value)).toBe(value);
    }
  });

  it('show four characters later', () => {
    expect(maskSecret('mdb_sa_sk_abcdefgh1234')).toBe('mdb_sa_sk_...1234');
  });

  it('match by value while not expired', () => {
    const values = [newSecretValue(), newSecretValue(), newSecretValue()];
    const secrets = values.map((value, index) => stored(value, { id: String(index).repeat(24) }));
    expect(matchSecret(values.at(1)!, secrets, now)?.id).toBe('1'.repeat(24));
    expect(matchSecret(newSecretValue(), secrets, now)).toBeUndefined();
    expect(matchSecret(values.at(1)!, [stored(values.at(1)!, { expiresAt: now })], now)).toBeUndefined();
    expect(matchSecret('x', [], now)).toBeUndefined();
  });

  it('match nothing but themselves', () => {
    const value = newSecretValue();
    fc.assert(
      fc.property(fc.string(), (other) => {
        expect(matchSecret(other, [stored(value)], now)).toBeUndefined();
      }),
    );
  });
});
