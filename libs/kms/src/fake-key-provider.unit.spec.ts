import { FakeKeyProvider, FakeKms } from '@atrest/testing';
import { keyProviderContract } from './key-provider.contract.js';

keyProviderContract('in-memory fake', async () => {
  const kms = new FakeKms();
  let count = 0;
  return {
    createKey() {
      count += 1;
      const alias = `alias/fake-${count}`;
      return { keyId: kms.createKey(alias), alias };
    },
    provider: (reference) => new FakeKeyProvider(kms, reference),
    disable: (keyId) => kms.setState(keyId, 'DISABLED'),
    enable: (keyId) => kms.setState(keyId, 'ENABLED'),
    scheduleDeletion: (keyId) => kms.setState(keyId, 'PENDING_DELETION'),
    destroy: (keyId) => kms.destroyKey(keyId),
    pointAlias: (alias, keyId) => kms.moveAlias(alias, keyId),
    requests: () => kms.calls.length,
    close: async () => undefined,
  };
});
