import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_DELIVERY_POLICY, settle, type Recipient } from './delivery-policy.js';
import type { RecipientResult } from './mail-transport.js';

const DAY = 86_400_000;
const createdAt = new Date('2026-11-23T12:00:00Z');
const recipients: Recipient[] = ['a', 'b', 'c'].map((name) => ({ address: `${name}@example.com`, status: 'PENDING', answer: null }));
const outcome = fc.constantFrom('accepted', 'deferred', 'refused');

describe('delivery policy', () => {
  it('is SENT or FAILED only when nobody is left, forgets no recipient and undoes no delivery', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(outcome, outcome, outcome), { minLength: 1, maxLength: 30 }), (attempts) => {
        let message = { createdAt, attempts: 0, recipients: recipients as readonly Recipient[] };
        let now = createdAt;
        const accepted = new Map<string, number>();
        for (const outcomes of attempts) {
          const asked = message.recipients.filter(({ status }) => status === 'PENDING');
          if (asked.length === 0) break;
          const results = asked.map(({ address }, index): RecipientResult => ({
            address,
            outcome: outcomes[index] ?? 'deferred',
            answer: null,
          }));
          for (const { address, outcome: each } of results)
            if (each === 'accepted') accepted.set(address, (accepted.get(address) ?? 0) + 1);
          const next = settle({ ...message, attempts: message.attempts + 1 }, results, now, DEFAULT_DELIVERY_POLICY);
          expect(next.recipients.map(({ address }) => address)).toEqual(recipients.map(({ address }) => address));
          const pending = next.recipients.some(({ status }) => status === 'PENDING');
          expect(next.status === 'PENDING').toBe(pending);
          if (next.status === 'PENDING') {
            const pause = next.nextAttemptAt.getTime() - now.getTime();
            expect(pause).toBeGreaterThanOrEqual(15_000);
            expect(pause).toBeLessThanOrEqual(15 * 60_000);
            now = next.nextAttemptAt;
          } else {
            expect(next.status).toBe(accepted.size > 0 ? 'SENT' : 'FAILED');
          }
          message = { ...message, attempts: message.attempts + 1, recipients: next.recipients };
        }
        for (const count of accepted.values()) expect(count).toBe(1);
      }),
    );
  });

  it('keeps a message for at least three days, and gives up at some time', () => {
    const results = recipients.map(({ address }): RecipientResult => ({ address, outcome: 'deferred', answer: '451 later' }));
    const after = (ms: number) =>
      settle({ createdAt, attempts: 9, recipients }, results, new Date(createdAt.getTime() + ms), DEFAULT_DELIVERY_POLICY).status;
    expect(after(3 * DAY)).toBe('PENDING');
    expect(after(5 * DAY)).toBe('FAILED');
  });
});
