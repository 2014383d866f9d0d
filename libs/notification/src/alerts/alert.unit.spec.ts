import { KEY_PROVIDERS } from '@atrest/contracts';
import { describe, expect, it } from 'vitest';
import { following, hold, invalid, keyState, START } from '../test-support/stage.contract.js';
import { alertChanges, alertTypesOf } from './alert.js';
import { alertConfigIdOf } from './alert-config.js';

const valid = keyState('65f0c0ffee65f0c0ffee65f0');
const gone = invalid(valid, START);
const later = new Date('2026-11-24T00:00:00Z');
const changes = (...args: Parameters<typeof alertChanges>): string[] =>
  alertChanges(...args).map(({ change, eventType }) => `${change} ${eventType}`);
const NETWORK = 'ENCRYPTION_AT_REST_KMS_NETWORK_ACCESS_DENIED';

describe('alerts that follow from a key configuration', () => {
  it('opens and closes by condition', () => {
    expect(changes('invalidated', gone, later)).toEqual(['open AWS_ENCRYPTION_KEY_INVALID', `close ${NETWORK}`]);
    expect(alertChanges('invalidated', gone, later)[0]).toMatchObject({ since: START });
    expect(changes('validated', valid, later)).toEqual(['close AWS_ENCRYPTION_KEY_INVALID', `close ${NETWORK}`]);
    const unreachable = following(valid, { unreachableSince: START.toISOString() });
    expect(changes('became-unreachable', unreachable, later)).toEqual(['close AWS_ENCRYPTION_KEY_INVALID', `open ${NETWORK}`]);
    // Before the grace period is over nothing opens.
    expect(changes('attention-needed', unreachable, later)).toEqual(['close AWS_ENCRYPTION_KEY_INVALID']);
  });

  it('leaves an invalid key open while other things happen, and cancels everything with the configuration', () => {
    expect(changes('attention-needed', gone, later)).toEqual([`close ${NETWORK}`]);
    expect(changes('removed', { ...gone, enabled: false }, later)).toEqual(alertTypesOf('AWS').map((eventType) => `cancel ${eventType}`));
  });

  it('is open for a key whose shutdown is held: it is gone all the same', () => {
    const held = following(valid, { state: 'HELD', hold: hold({ since: '2026-11-23T11:58:00.000Z' }) });
    expect(alertChanges('held', held, later)[0]).toEqual({
      change: 'open',
      eventType: 'AWS_ENCRYPTION_KEY_INVALID',
      since: new Date('2026-11-23T11:58:00Z'),
    });
    for (const event of ['hold-decided', 'hold-overdue', 'policy-changed'] as const) {
      expect(changes(event, held, later)).toEqual([`close ${NETWORK}`]);
    }
    expect(changes('hold-ended', valid, later)).toContain('close AWS_ENCRYPTION_KEY_INVALID');
  });

  it.each(KEY_PROVIDERS)('%s: rotation and end open with their events, and close with another key', (provider) => {
    const [, rotation, end] = alertTypesOf(provider);
    const state = keyState('65f0c0ffee65f0c0ffee65f0', { provider, epoch: 1 });
    expect(changes('rotation-due', state, later, 1)).toContain(`open ${rotation}`);
    expect(changes('rotated', state, later, 1)).toContain(`close ${rotation}`);
    expect(changes('end-approaching', state, later, 1)).toContain(`open ${end}`);
    expect(changes('end-called-off', state, later, 1)).toContain(`close ${end}`);
    expect(changes('saved', { ...state, epoch: 2 }, later, 1)).toEqual(expect.arrayContaining([`close ${rotation}`, `close ${end}`]));
    // New credentials for the same key end neither.
    for (const type of [rotation, end]) expect(changes('saved', state, later, 1)).not.toContain(`close ${type}`);
    // The project wants to be reminded later, or not at all.
    const rotating = { rotatedAt: START.toISOString(), ageDays: 370, automatic: false };
    expect(changes('policy-changed', { ...state, rotation: { ...rotating, reminderDays: 400 } }, later)).toContain(`close ${rotation}`);
    expect(changes('policy-changed', { ...state, rotation: { ...rotating, reminderDays: null } }, later)).toContain(`close ${rotation}`);
    expect(changes('policy-changed', { ...state, rotation: { ...rotating, reminderDays: 365 } }, later)).not.toContain(`close ${rotation}`);
  });

  it('names the alert configuration by project and event type', () => {
    const id = alertConfigIdOf('65f0c0ffee65f0c0ffee65f0', NETWORK);
    expect(id).toMatch(/^[a-f0-9]{24}$/);
    expect(id).not.toBe(alertConfigIdOf('65f0c0ffee65f0c0ffee65f1', NETWORK));
  });
});
