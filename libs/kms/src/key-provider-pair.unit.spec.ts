import { TRANSIENT_REASONS, type TransientReason } from '@atrest/contracts';
import { SimulatedClock } from '@atrest/platform-time';
import { FakeKeyProvider, FakeKms, FakeKmsError } from '@atrest/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkCanary, proveKey } from './canary.js';
import { KeyProviderPair, type KeyProviderPairOptions } from './key-provider-pair.js';
import { keyProviderContract } from './key-provider.contract.js';
import type { TransientVerdict, Verdict } from './verdict.js';

const context = { projectId: '65f0c0ffee65f0c0ffee65f0', purpose: 'snapshot-data-key' };
const secret = Buffer.alloc(32, 7);
const UNREACHABLE: readonly TransientReason[] = ['NETWORK', 'TIMEOUT', 'PROVIDER_ERROR', 'THROTTLED'];

/** A pair over two KMSs, with what it told. */
function pairOf(options: KeyProviderPairOptions = {}) {
  const [first, second] = [new FakeKms(), new FakeKms()];
  const keys = { first: first.createKey(), second: second.createKey() };
  const told: { standIns: TransientVerdict[]; notDoubled: Verdict[] } = { standIns: [], notDoubled: [] };
  const pair = new KeyProviderPair(new FakeKeyProvider(first, keys.first), new FakeKeyProvider(second, keys.second, 'GCP'), {
    onStandIn: (verdict) => told.standIns.push(verdict),
    onNotDoubled: (verdict) => told.notDoubled.push(verdict),
    ...options,
  });
  const breakFirst = (reason: TransientReason): void => {
    first.recover();
    first.fail(new FakeKmsError('FakeOutage', reason, 'transient'));
  };
  return { first, second, keys, pair, told, breakFirst };
}

const reasonOf = (pair: KeyProviderPair, call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'usable',
    (error: unknown) => `${pair.verdict(error).kind} ${pair.verdict(error).reason}`,
  );

keyProviderContract('a pair of keys', async () => {
  const [kms, other] = [new FakeKms(), new FakeKms()];
  const second = other.createKey();
  let count = 0;
  return {
    createKey() {
      count += 1;
      const alias = `alias/pair-${count}`;
      return { keyId: kms.createKey(alias), alias };
    },
    provider: (reference) => new KeyProviderPair(new FakeKeyProvider(kms, reference), new FakeKeyProvider(other, second, 'GCP')),
    disable: (keyId) => kms.setState(keyId, 'DISABLED'),
    enable: (keyId) => kms.setState(keyId, 'ENABLED'),
    scheduleDeletion: (keyId) => kms.setState(keyId, 'PENDING_DELETION'),
    destroy: (keyId) => kms.destroyKey(keyId),
    pointAlias: (alias, keyId) => kms.moveAlias(alias, keyId),
    requests: () => kms.calls.length,
    close: async () => undefined,
  };
});

describe('a second key', () => {
  it.each(UNREACHABLE)('unwraps while the first cannot be asked (%s), after a trip of the blob through JSON', async (reason) => {
    const { pair, told, breakFirst, first } = pairOf();
    const blob = JSON.parse(JSON.stringify(await pair.wrap(secret, context)));
    expect(blob).toMatchObject({ provider: 'AWS', second: { provider: 'GCP', context } });
    breakFirst(reason);
    expect(Buffer.from(await pair.unwrap(blob, context))).toEqual(secret);
    expect(told.standIns).toMatchObject([{ reason }]);
    first.recover();
    await pair.unwrap(blob, context);
    expect(told.standIns).toHaveLength(1);
  });

  it.each(TRANSIENT_REASONS.filter((reason) => !UNREACHABLE.includes(reason)))(
    'does not unwrap for an answer that may be about the key: %s',
    async (reason) => {
      const { pair, breakFirst, second } = pairOf();
      const blob = await pair.wrap(secret, context);
      breakFirst(reason);
      expect(await reasonOf(pair, pair.unwrap(blob, context))).toBe(`transient ${reason}`);
      expect(second.calls.filter(({ operation }) => operation === 'unwrap')).toEqual([]);
    },
  );

  it('never unwraps after a revocation of the first, also when that is out of reach later and for a fresh client, until it was usable again', async () => {
    const { first, keys, pair, breakFirst } = pairOf();
    const blob = await pair.wrap(secret, context);
    first.setState(keys.first, 'DISABLED');
    expect(await reasonOf(pair, pair.unwrap(blob, context))).toBe('definitive KEY_DISABLED');
    breakFirst('NETWORK');
    expect(await reasonOf(pair, pair.unwrap(blob, context))).toBe('transient NETWORK');
    expect(await reasonOf(pair, pair.fresh().unwrap(blob, context))).toBe('transient NETWORK');
    first.recover();
    first.setState(keys.first, 'ENABLED');
    await pair.unwrap(blob, context);
    breakFirst('NETWORK');
    expect(Buffer.from(await pair.unwrap(blob, context))).toEqual(secret);
  });

  it('does not unwrap while somebody else knows of a revocation', async () => {
    let revoked = false;
    const { pair, breakFirst } = pairOf({ mayStandIn: () => !revoked });
    const blob = await pair.wrap(secret, context);
    breakFirst('TIMEOUT');
    revoked = true;
    expect(await reasonOf(pair, pair.unwrap(blob, context))).toBe('transient TIMEOUT');
    revoked = false;
    expect(await reasonOf(pair, pair.unwrap(blob, context))).toBe('usable');
  });

  it('is asked only after the retries of the first', async () => {
    const retries = { clock: new SimulatedClock(new Date(0)), sleep: async () => undefined };
    const { first, second, pair, told } = pairOf({ retries });
    const blob = await pair.wrap(secret, context);
    first.fail(new FakeKmsError('FakeThrottled', 'THROTTLED', 'transient'), 2);
    await pair.unwrap(blob, context);
    expect(told.standIns).toEqual([]);
    expect(second.calls.map(({ operation }) => operation)).toEqual(['wrap']);
    first.fail(new FakeKmsError('FakeThrottled', 'THROTTLED', 'transient'), 3);
    await pair.unwrap(blob, context);
    expect(told.standIns).toHaveLength(1);
  });

  it('that cannot wrap keeps nobody from wrapping, and somebody is told; what it did not wrap it does not unwrap', async () => {
    const { second, keys, pair, told, breakFirst } = pairOf();
    second.setState(keys.second, 'DISABLED');
    const blob = await pair.wrap(secret, context);
    expect(blob.second).toBeUndefined();
    expect(told.notDoubled).toMatchObject([{ kind: 'definitive', reason: 'KEY_DISABLED' }]);
    second.setState(keys.second, 'ENABLED');
    breakFirst('NETWORK');
    expect(await reasonOf(pair, pair.unwrap(blob, context))).toBe('transient NETWORK');
  });

  it('does not wrap in place of the first: what is wrapped belongs to the first key', async () => {
    const { second, pair, breakFirst } = pairOf();
    breakFirst('NETWORK');
    expect(await reasonOf(pair, pair.wrap(secret, context))).toBe('transient NETWORK');
    expect(second.calls).toEqual([]);
  });

  it('that fails as well leaves the evidence of the first, and its own context is authenticated', async () => {
    const { second, pair, breakFirst } = pairOf();
    const blob = await pair.wrap(secret, context);
    const elsewhere = await pair.wrap(secret, { ...context, projectId: 'another' });
    breakFirst('TIMEOUT');
    expect(await reasonOf(pair, pair.unwrap({ ...blob, second: elsewhere.second! }, context))).toBe('transient TIMEOUT');
    second.fail(new FakeKmsError('FakeOutage', 'NETWORK', 'transient'));
    expect(await reasonOf(pair, pair.unwrap(blob, context))).toBe('transient TIMEOUT');
  });

  it('whatever happens to the first key, the second unwraps exactly while it is unreachable and was not revoked since it was last usable', async () => {
    const event = fc.constantFrom<'usable' | 'revoked' | TransientReason>('usable', 'revoked', ...TRANSIENT_REASONS);
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 20 }), async (events) => {
        const { first, keys, pair, told, breakFirst } = pairOf();
        const blob = await pair.wrap(secret, context);
        let revoked = false;
        for (const happens of events) {
          first.recover();
          first.setState(keys.first, happens === 'revoked' ? 'DISABLED' : 'ENABLED');
          if (happens === 'usable') revoked = false;
          else if (happens === 'revoked') revoked = true;
          else breakFirst(happens);
          const before = told.standIns.length;
          const outcome = await reasonOf(pair, pair.unwrap(blob, context));
          const standsIn = !revoked && UNREACHABLE.some((reason) => reason === happens);
          expect(told.standIns.length - before).toBe(standsIn ? 1 : 0);
          expect(outcome === 'usable').toBe(happens === 'usable' || standsIn);
        }
      }),
    );
  });

  it('a canary that both keys wrapped is proven by the pair like any other', async () => {
    const { pair, breakFirst, keys, first } = pairOf();
    const { canary } = await proveKey(pair, context);
    breakFirst('NETWORK');
    expect(await checkCanary(pair, canary!, context)).toMatchObject({ kind: 'usable' });
    first.recover();
    first.destroyKey(keys.first);
    expect(await checkCanary(pair, canary!, context)).toMatchObject({ kind: 'definitive', reason: 'KEY_NOT_FOUND' });
  });
});
