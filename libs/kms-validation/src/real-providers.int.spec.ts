import type { KeyProviderName } from '@atrest/contracts';
import { CallLimiters, KmipKeyProvider, kmipRequestQuotaOf, sleepFor } from '@atrest/kms';
import { DevelopmentKeyVault, DevelopmentKmipServer, startDevelopmentGoogleCloudKms, waitFor } from '@atrest/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KmsValidationOptions, KmsValidationService } from './kms-validation.service.js';
import type { ProviderAttribute } from './providers/provider-binding.js';
import { textOf } from './providers/provider-binding.js';
import { Api, type ApiAnswer } from './test-support/api.contract.js';
import { newProject, Stage } from './test-support/stage.contract.js';

/*
 * The service as an operator runs it, with the adapters and the vendors' SDKs, against development services on the loopback: a key is enabled by the
 * API, is disabled where the customer would do that, and is enabled again.
 */

/** A customer's key at one provider. */
interface CustomerKey {
  /** What the first enabling says, beside `enabled`. */
  readonly settings: Record<string, unknown>;
  disable(): void;
  enable(): void;
}

/** One provider with its development service. */
interface World {
  readonly provider: KeyProviderName;
  readonly attribute: ProviderAttribute;
  /** The error that the provider has for a disabled key. */
  readonly errorName: string;
  /** What the operator decides. */
  readonly options: (stage: Stage) => Partial<KmsValidationOptions>;
  readonly newKey: (stage: Stage, api: Api, project: { readonly id: string; readonly owner: string }) => Promise<CustomerKey>;
  /** After the service stopped. */
  readonly stopped?: () => Promise<void>;
  readonly close?: () => Promise<void>;
}

async function azure(): Promise<World> {
  const vaults = await DevelopmentKeyVault.start();
  return {
    provider: 'AZURE',
    attribute: 'azureKeyVault',
    errorName: 'KeyDisabled',
    options: () => ({ azure: { development: vaults.route } }),
    async newKey() {
      const { tenantId, clientId, clientSecret } = vaults.createApplication();
      const keyIdentifier = await vaults.createKey();
      return {
        settings: {
          azureEnvironment: 'AZURE',
          tenantID: tenantId,
          clientID: clientId,
          subscriptionID: tenantId,
          resourceGroupName: 'keys',
          keyVaultName: 'atrest-dev',
          keyIdentifier,
          secret: clientSecret,
        },
        disable: () => vaults.setAttributes(keyIdentifier, { enabled: false }),
        enable: () => vaults.setAttributes(keyIdentifier, { enabled: true }),
      };
    },
    close: () => vaults.close(),
  };
}

async function googleCloud(): Promise<World> {
  const kms = await startDevelopmentGoogleCloudKms();
  return {
    provider: 'GCP',
    attribute: 'googleCloudKms',
    errorName: 'FAILED_PRECONDITION',
    options: () => ({ gcp: { endpoint: kms.endpoint } }),
    async newKey() {
      const { version } = kms.createKey();
      const serviceAccountKey = JSON.stringify(await kms.createServiceAccount());
      return {
        settings: { keyVersionResourceID: version, serviceAccountKey },
        disable: () => kms.setState(version, 'DISABLED'),
        enable: () => kms.setState(version, 'ENABLED'),
      };
    },
    // Connections that outlive the service would keep its process alive.
    stopped: async () =>
      void (await waitFor(() => kms.openConnections === 0, { describe: 'the end of the connections to Google Cloud KMS' })),
    close: () => kms.close(),
  };
}

async function kmip(): Promise<World> {
  const server = await DevelopmentKmipServer.start();
  const limiters = (stage: Stage) => new CallLimiters({ clock: stage.clock, sleep: sleepFor, quotaOf: kmipRequestQuotaOf, share: 1 });
  return {
    provider: 'KMIP',
    attribute: 'kmip',
    errorName: 'KMS.KMIP_KEY_STATE',
    options: (stage) => ({
      // The service never talks to its own machine, where the development server is: the appliance's name leads there in this test only.
      providerFactories: {
        KMIP: ({ settings, credentials }) =>
          new KmipKeyProvider(
            {
              keyId: textOf(settings, 'keyIdentifier'),
              hosts: [server.host.host],
              port: Number(settings['port']),
              caCertificate: textOf(settings, 'caCertificate'),
              clientCertificate: credentials.kind === 'secret' ? credentials.secret : '',
            },
            { limiters: limiters(stage), metrics: stage.metrics },
          ),
      },
    }),
    async newKey() {
      const { id } = server.createKey();
      const { certificate, key } = await server.authority.client('atrest');
      return {
        settings: {
          hosts: ['kmip.example.com'],
          port: server.host.port,
          caCertificate: server.authority.certificate,
          keyIdentifier: id,
          clientCertificate: `${certificate}\n${key}`,
        },
        disable: () => server.setState(id, 'Deactivated'),
        enable: () => server.setState(id, 'Active'),
      };
    },
    close: () => server.close(),
  };
}

function awsByRole(): World {
  return {
    provider: 'AWS',
    attribute: 'awsKms',
    errorName: 'DisabledException',
    options: ({ kms }) => ({
      awsEndpoint: kms.url,
      aws: { stsEndpoint: kms.url, installation: kms.createAccessKey({ userName: 'installation' }) },
      identities: { awsPrincipalArn: `arn:aws:iam::${kms.accountId}:user/installation` },
    }),
    async newKey({ kms }, api, { id, owner }) {
      const path = `/groups/${id}/cloudProviderAccess`;
      const { roleId, atlasAssumedRoleExternalId: externalId } = (
        await api.request('POST', path, { token: owner, body: { providerName: 'AWS' } })
      ).body as Record<string, string>;
      const body = { providerName: 'AWS', iamAssumedRoleArn: kms.createRole({ externalId: externalId! }) };
      expect(await api.request('PATCH', `${path}/${roleId}`, { token: owner, body })).toMatchObject({ status: 200 });
      const { keyId } = kms.createKey();
      return {
        settings: { customerMasterKeyID: keyId, region: 'US_EAST_1', roleId },
        disable: () => kms.disableKey(keyId),
        enable: () => kms.enableKey(keyId),
      };
    },
  };
}

describe.each<[string, () => World | Promise<World>]>([
  ['Azure Key Vault', azure],
  ['Google Cloud KMS', googleCloud],
  ['a KMIP appliance', kmip],
  ['AWS KMS by an assumed role', awsByRole],
])('%s, with the service, the API and the real SDK', (name, start) => {
  let world: World;
  let stage: Stage;
  let service: KmsValidationService;
  let api: Api;
  let project: { id: string; owner: string };

  beforeAll(async () => {
    world = await start();
    stage = await Stage.open(`real ${name}`);
    // The endpoint is always given, so that the stage leaves the adapters as they are.
    service = await stage.replica('replica-1', { awsEndpoint: stage.kms.url, ...world.options(stage) });
    api = await Api.open(stage, service);
    const id = await newProject(stage);
    project = { id, owner: await api.tokenFor('GROUP_OWNER', id) };
  });
  afterAll(async () => {
    await api?.close();
    await stage?.close();
    await world?.stopped?.();
    await world?.close?.();
  });

  const request = (method: string, rest = '', body?: unknown): Promise<ApiAnswer> =>
    api.request(method, `/groups/${project.id}/encryptionAtRest${rest}`, { token: project.owner, ...(body !== undefined && { body }) });
  const shown = async (): Promise<unknown> => (await request('GET')).body[world.attribute];
  const states = async (checks: number): Promise<string[]> => {
    const seen: string[] = [];
    for (let check = 0; check < checks; check += 1) {
      expect(await stage.tick(service)).toBe(1);
      seen.push((await request('GET', `/${world.attribute}/status`)).body.state as string);
    }
    return seen;
  };

  it('F01 enabled by the API, disabled by the customer, enabled again: invalidated with evidence, validated, and shown', async () => {
    const key = await world.newKey(stage, api, project);
    key.disable();
    const change = { [world.attribute]: { enabled: true, ...key.settings } };
    expect((await request('PATCH', '', change)).status).toBe(400);
    key.enable();
    expect(await request('PATCH', '', change)).toMatchObject({ status: 200, body: { [world.attribute]: { enabled: true, valid: true } } });
    expect(await states(2)).toEqual(['VALID', 'VALID']);

    key.disable();
    expect(await states(3)).toEqual(['SUSPECT', 'SUSPECT', 'INVALID']);
    expect(await shown()).toMatchObject({ enabled: true, valid: false });
    key.enable();
    expect(await states(1)).toEqual(['VALID']);
    expect(await shown()).toMatchObject({ enabled: true, valid: true });

    const events = await stage.events(project.id);
    expect(events.map((event) => event.name)).toEqual(['saved', 'invalidated', 'validated']);
    const { provider, evidence } = events[1]!.data;
    expect(provider).toBe(world.provider);
    expect(evidence.map(({ verdict, reason, errorName }) => [verdict, reason, errorName])).toEqual(
      Array.from({ length: 3 }, () => ['definitive', 'KEY_DISABLED', world.errorName]),
    );
  });
});
