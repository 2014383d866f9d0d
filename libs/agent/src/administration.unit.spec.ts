import type { ProcessGoal } from '@atrest/contracts';
import type { CommandOutcome, MemberStatus } from '@atrest/mongod';
import { describe, expect, it, vi } from 'vitest';
import { stepUp } from './administration.js';

const hosts = ['h:1', 'h:2'];
const goal = {
  replicaSet: {
    name: 'rs0',
    role: 'plain',
    leads: true,
    members: hosts.map((host, id) => ({ id, host, priority: 1, votes: 1, arbiterOnly: false })),
  },
} as unknown as ProcessGoal;

/** The member on h:1, as it sees the one on h:2. */
function member(seen: Partial<MemberStatus>) {
  const status = (id: number): MemberStatus => ({
    id,
    name: hosts[id]!,
    healthy: true,
    state: 'SECONDARY',
    self: id === 0,
    opTime: { term: 1, timestamp: 1n },
  });
  return {
    replicaSetStatus: () => Promise.resolve({ ok: true, value: { set: 'rs0', members: [status(0), { ...status(1), ...seen }] } } as const),
    stepUp: vi.fn<() => Promise<CommandOutcome<void>>>(() => Promise.resolve({ ok: true, value: undefined })),
  };
}

describe('stepping up', () => {
  it('calls an election once the member itself sees all others', async () => {
    const own = member({});
    expect(await stepUp(own, goal, 'h:1')).toEqual({ ok: true });
    expect(own.stepUp).toHaveBeenCalledOnce();
  });

  it.each<[string, Partial<MemberStatus>, true | 'too-early']>([
    ['is too early while another member is not seen, and is not taken for an election', { healthy: false }, 'too-early'],
    ['is too early while another member starts', { state: 'STARTUP2' }, 'too-early'],
    ['is not needed where there is a primary', { state: 'PRIMARY' }, true],
  ])('%s', async (_, seen, ok) => {
    const own = member(seen);
    expect(await stepUp(own, goal, 'h:1')).toEqual({ ok });
    expect(own.stepUp).not.toHaveBeenCalled();
  });
});
