import type { CommandOutcome, UserAccount } from '@atrest/mongod';
import { describe, expect, it } from 'vitest';
import { hasUsers, usersView } from './server-users.js';

const user = (customData: Record<string, unknown>): CommandOutcome<UserAccount> => ({
  ok: true,
  value: { username: 'atrest-agent', customData },
});
const failed = (kind: 'authentication-failed' | 'unreachable' | 'unauthorized') =>
  ({ ok: false, failure: { kind, code: null, message: 'no' } }) as const;

describe('the users of a set', () => {
  it.each([
    ['is in place with the setting that is wanted', user({ ready: true, administrator: 'a' }), true, 'a', 'in-place', true],
    ['is in place without an administrator where none is wanted', user({ ready: true, administrator: null }), true, null, 'in-place', true],
    ['lacks a later setting, and is used meanwhile', user({ ready: true, administrator: 'a' }), true, 'b', 'missing', true],
    ['was made by half: nobody is told that it takes writes', user({ ready: false, administrator: null }), true, 'a', 'missing', false],
    ['says nothing that an agent has noted', user({}), true, null, 'missing', false],
    ['is not there', { ok: true, value: null }, false, 'a', 'missing', false],
    ['belongs to somebody else', user({ ready: true, administrator: 'a' }), false, 'a', 'foreign', true],
    ['is refused in every way', failed('authentication-failed'), false, 'a', 'foreign', true],
  ] as const)("the agent's user %s", (_, found, asAgent, wanted, kind, usable) => {
    const view = usersView(found, asAgent, wanted);
    expect([view?.kind, hasUsers(view)]).toEqual([kind, usable]);
  });

  it.each(['unreachable', 'unauthorized'] as const)('are not judged by an answer that is %s', (kind) => {
    expect(usersView(failed(kind), true, null)).toBeNull();
    expect(hasUsers(null)).toBe(false);
  });
});
