import {
  clusterCreated,
  KEY_PROVIDERS,
  keyConfigurationEndApproaching,
  keyConfigurationEndCalledOff,
  keyConfigurationInvalidated,
  keyConfigurationPolicyChanged,
  keyConfigurationRotated,
  keyConfigurationRotationDue,
  keyConfigurationSaved,
  projectCreated,
  type KeyConfigurationState,
  type KeyEnding,
  type KeyProviderName,
  type KeyRotationState,
} from '@atrest/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clusterState, DAY, following, invalid, keyState, projectState, Stage, START } from './test-support/stage.contract.js';

const COMMANDS: Readonly<Record<KeyProviderName, string>> = {
  AWS: 'aws kms cancel-key-deletion --region us-east-1 --key-id 1234',
  AZURE: 'az keyvault key recover --vault-name orders-kv --name cmk',
  GCP: 'gcloud kms keys versions restore 7 --key orders --keyring atrest --location europe-west3 --project shop',
  KMIP: 'Modify Attribute, unique identifier 42, Deactivation Date',
};
const ending = (provider: KeyProviderName, daysLeft: number, change: Partial<KeyEnding> = {}): KeyEnding => ({
  kind: 'DELETION',
  at: new Date(START.getTime() + 7 * DAY).toISOString(),
  daysLeft,
  command: COMMANDS[provider],
  explanation: 'It comes out disabled & is enabled as well.',
  ...change,
});
const rotation = (change: Partial<KeyRotationState> = {}): KeyRotationState => ({
  rotatedAt: '2025-11-23T12:00:00.000Z',
  ageDays: 365,
  reminderDays: 365,
  automatic: false,
  ...change,
});

describe.each(KEY_PROVIDERS)('what owners hear of a key that is fine, %s', (provider) => {
  let stage: Stage;
  let state: KeyConfigurationState;
  beforeAll(async () => {
    stage = await Stage.open(`lifecycle-${provider.toLowerCase()}`);
    const project = projectState({ 'a@example.com': ['GROUP_OWNER'], 'b@example.com': ['GROUP_OWNER'] });
    await stage.deliver(projectCreated, project);
    await stage.deliver(clusterCreated, clusterState(project.id, 'orders', { encryptionAtRestProvider: provider }));
    state = keyState(project.id, { provider, epoch: 1 });
    await stage.deliver(keyConfigurationSaved, state);
  });
  afterAll(() => stage.close());

  /** The messages since the last call, each to both owners and whole in both parts. */
  let told = 0;
  async function messages(): Promise<{ subject: string; parts: string[] }[]> {
    await stage.service.deliverDue();
    const fresh = stage.mails.messages().slice(told);
    told += fresh.length;
    return fresh.map(({ subject, to, text, html }) => {
      expect(to).toEqual(['a@example.com', 'b@example.com']);
      const plain = html?.replaceAll('&amp;', '&').replaceAll('&quot;', '"').replaceAll('&#39;', "'") ?? '';
      return { subject, parts: [text ?? '', plain] };
    });
  }
  const alerts = (): Promise<{ event_type: string; status: string }[]> =>
    stage.database.query('SELECT event_type, status FROM alert ORDER BY event_type, created_at');

  it('its end 7, 3 and 1 days ahead, with the command that keeps it, and that it is called off', async () => {
    for (const days of [7, 3, 1]) {
      stage.clock.set(new Date(START.getTime() + (7 - days) * DAY));
      state = following(state, { ending: ending(provider, days) });
      await stage.deliver(keyConfigurationEndApproaching, state);
      const [message, ...others] = await messages();
      expect(others).toEqual([]);
      expect(message?.subject).toBe(
        `[Atrest] Customer key of project Orders will be deleted for good in ${days === 1 ? '1 day' : `${days} days`}: 1 cluster affected`,
      );
      for (const part of message?.parts ?? []) {
        for (const words of [
          COMMANDS[provider],
          'It comes out disabled & is enabled',
          '2026-11-30 12:00:00 UTC',
          'orders',
          'every snapshot',
        ]) {
          expect(part).toContain(words);
        }
      }
    }
    expect(await alerts()).toEqual([{ event_type: `${provider}_ENCRYPTION_KEY_END_APPROACHING`, status: 'OPEN' }]);
    state = following(state, { ending: ending(provider, 1), state: 'VALID' });
    await stage.deliver(keyConfigurationEndCalledOff, state);
    const [message] = await messages();
    expect(message?.subject).toBe('[Atrest] Customer key of project Orders stays: its deletion is called off');
    for (const part of message?.parts ?? []) expect(part).toContain('Was announced for');
    expect(await alerts()).toEqual([{ event_type: `${provider}_ENCRYPTION_KEY_END_APPROACHING`, status: 'CLOSED' }]);
  });

  it('an expiry is told in other words than a deletion', async () => {
    state = following(state, { ending: ending(provider, 3, { kind: 'EXPIRY', at: '2027-01-01T00:00:00.000Z' }) });
    await stage.deliver(keyConfigurationEndApproaching, state);
    const [message] = await messages();
    expect(message?.subject).toContain('will expire in 3 days');
    for (const part of message?.parts ?? []) {
      expect(part).toContain('Expires on');
      expect(part).not.toContain('lost for good');
    }
  });

  it('that it needs rotation, as Atlas names it, until it was rotated', async () => {
    const { ending: _, ...plain } = state;
    state = following(plain, { rotation: rotation(), atlasEventType: `${provider}_ENCRYPTION_KEY_NEEDS_ROTATION` });
    await stage.deliver(keyConfigurationRotationDue, state);
    const [message] = await messages();
    expect(message?.subject).toBe('[Atrest] Customer key of project Orders needs rotation: it is 365 days old');
    for (const part of message?.parts ?? []) {
      for (const words of [
        '2025-11-23 12:00:00 UTC',
        `${provider}_ENCRYPTION_KEY_NEEDS_ROTATION`,
        '{"rotationReminderDays": 400}',
        'validityPolicy',
      ]) {
        expect(part).toContain(words);
      }
    }
    expect(await alerts()).toContainEqual({ event_type: `${provider}_ENCRYPTION_KEY_NEEDS_ROTATION`, status: 'OPEN' });

    const rotatedAt = stage.clock.now().toISOString();
    state = following(state, {
      epoch: 2,
      rotation: rotation({ ageDays: 0, rotatedAt }),
      atlasEventType: `${provider}_ENCRYPTION_KEY_ROTATED`,
    });
    await stage.deliver(keyConfigurationRotated, state);
    const [rotated] = await messages();
    expect(rotated?.subject).toBe('[Atrest] Customer key of project Orders was rotated');
    for (const part of rotated?.parts ?? []) expect(part).toContain('Do not delete the former key');
    expect(await alerts()).toContainEqual({ event_type: `${provider}_ENCRYPTION_KEY_NEEDS_ROTATION`, status: 'CLOSED' });
    // The end of the former key is no concern of the new one's.
    expect((await alerts()).filter(({ status }) => status === 'OPEN')).toEqual([]);
  });

  it('that a change of the policy stops or starts databases while the key is not usable', async () => {
    const { rotation: _, atlasEventType: __, ...plain } = state;
    state = { ...invalid(plain, stage.clock.now()), mode: 'observe' };
    await stage.deliver(keyConfigurationInvalidated, state);
    expect((await messages()).map(({ subject }) => subject)).toEqual([
      '[Atrest] Customer key of project Orders is not usable: 1 cluster would have been stopped',
    ]);
    state = following(state, { mode: 'enforce' });
    await stage.deliver(keyConfigurationPolicyChanged, state);
    expect((await messages()).map(({ subject }) => subject)).toEqual([
      '[Atrest] Customer key of project Orders is not usable: 1 cluster being stopped',
    ]);
    // Another setting of the policy changes nothing.
    state = following(state, {});
    await stage.deliver(keyConfigurationPolicyChanged, state);
    expect(await messages()).toEqual([]);
    state = following(state, { mode: 'observe' });
    await stage.deliver(keyConfigurationPolicyChanged, state);
    const [message] = await messages();
    expect(message?.subject).toBe('[Atrest] Project Orders now only observes its customer key: 1 cluster starting again');
    for (const part of message?.parts ?? []) expect(part).toContain('Clusters starting again');
  });
});
