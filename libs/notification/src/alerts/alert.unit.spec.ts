import { describe, expect, it } from 'vitest';
import { following, invalid, keyState, START } from '../test-support/stage.contract.js';
import { alertChanges, alertConfigIdOf } from './alert.js';

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

  it('leaves an invalid key open while other things happen, and cancels both with the configuration', () => {
    expect(changes('attention-needed', gone, later)).toEqual([`close ${NETWORK}`]);
    expect(changes('removed', { ...gone, enabled: false }, later)).toEqual(['cancel AWS_ENCRYPTION_KEY_INVALID', `cancel ${NETWORK}`]);
  });

  it('names the alert configuration by project and event type', () => {
    const id = alertConfigIdOf('65f0c0ffee65f0c0ffee65f0', NETWORK);
    expect(id).toMatch(/^[a-f0-9]{24}$/);
    expect(id).not.toBe(alertConfigIdOf('65f0c0ffee65f0c0ffee65f1', NETWORK));
  });
});
