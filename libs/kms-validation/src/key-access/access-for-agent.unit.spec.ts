import { describe, expect, it } from 'vitest';
import type { AuthorisedRole, KeyReference } from '../key-access.js';
import { accessForAgent, AccessNotForAgentsError, type RoleSessions } from './access-for-agent.js';

const NO_SESSIONS: RoleSessions = { open: () => Promise.reject(new Error('nobody assumes a role here')) };
const AZURE_KEY = `https://orders-vault.vault.azure.net/keys/orders/${'a'.repeat(32)}`;

const withRole = (provider: KeyReference['provider'], settings: KeyReference['settings'], role: AuthorisedRole): KeyReference => ({
  provider,
  settings,
  credentials: { kind: 'role', role },
});

describe('access to a key for an agent', () => {
  it('names the key behind an alias: the alias may point elsewhere when the agent comes to it', async () => {
    const settings = { customerMasterKeyID: 'alias/orders', region: 'EU_CENTRAL_1', accessKeyID: 'AKIA' };
    const reference: KeyReference = { provider: 'AWS', settings, credentials: { kind: 'secret', secret: 's' } };
    expect(await accessForAgent(reference, 'arn:resolved', NO_SESSIONS)).toEqual({
      provider: 'AWS',
      keyId: 'arn:resolved',
      region: 'EU_CENTRAL_1',
      accessKeyId: 'AKIA',
      secretAccessKey: 's',
    });
  });

  it('has no secret for a workload identity in Azure: the host proves itself with its own', async () => {
    const settings = { azureEnvironment: 'AZURE', keyIdentifier: AZURE_KEY };
    const role = { provider: 'AZURE', roleId: 'r', tenantId: 'tenant', appId: 'application' } as const;
    expect(await accessForAgent(withRole('AZURE', settings, role), AZURE_KEY, NO_SESSIONS)).toEqual({
      provider: 'AZURE',
      environment: 'AZURE',
      keyIdentifier: AZURE_KEY,
      tenantId: 'tenant',
      clientId: 'application',
      clientSecret: null,
    });
  });

  it('is not given where it would be what this installation is itself', async () => {
    const role = { provider: 'GCP', roleId: 'r', serviceAccount: 'atrest@example.iam.gserviceaccount.com' } as const;
    const wrong = { provider: 'AWS', roleId: 'r', roleArn: 'arn:aws:iam::111122223333:role/r', externalId: 'e' } as const;
    const settings = { keyVersionResourceID: 'projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1' };
    await expect(accessForAgent(withRole('GCP', settings, role), 'k', NO_SESSIONS)).rejects.toThrow(AccessNotForAgentsError);
    await expect(accessForAgent(withRole('KMIP', {}, role), 'k', NO_SESSIONS)).rejects.toThrow(AccessNotForAgentsError);
    await expect(accessForAgent(withRole('AZURE', {}, wrong), 'k', NO_SESSIONS)).rejects.toThrow(AccessNotForAgentsError);
  });
});
