import { compileConfig, ConfigError } from '@atrest/platform-config';
import { describe, expect, it } from 'vitest';
import { DEFAULT_REMINDER_DAYS } from '../project-policy/project-policy.js';
import { compileValidityPolicy } from '../policy-settings.js';
import { compileBreakerLimits } from '../breaker/breaker-policy.js';
import { isNetwork, networkRule } from './network-rule.js';
import { operatorFields } from './operator-fields.js';
import { operatorOptions } from './operator-options.js';

const PUBLIC_URL = 'https://atrest.example/';
const UUID = '0f8fad5b-d9cb-469f-a165-70867728950e';
const options = (environment: Record<string, string> = {}) => operatorOptions(compileConfig(operatorFields, environment), PUBLIC_URL);

function problemsOf(environment: Record<string, string>): string[] {
  try {
    options(environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ variable }) => variable).sort();
    throw error;
  }
  return [];
}

describe("the operator's settings", () => {
  it('without any, everything has the default that the code has, no role is offered and no notification taken', () => {
    expect(options()).toEqual({
      policy: compileValidityPolicy(),
      breaker: compileBreakerLimits(),
      rotationReminderDays: DEFAULT_REMINDER_DAYS,
      identities: {},
      push: { azure: {} },
      aws: {},
      azure: {},
      gcp: { subjectTokens: { files: [], origins: [] } },
      kmip: {},
    });
  });

  it('of policy and breaker', () => {
    const chosen = options({
      ATREST_CHECK_INTERVAL: '5m',
      ATREST_CHECK_CONFIRMATIONS: '5',
      ATREST_CHECK_CONFIRMATION_WINDOW: '1m',
      ATREST_UNREACHABLE_GRACE: '1m',
      ATREST_UNREACHABLE_OPERATORS: '2m',
      ATREST_UNREACHABLE_ORGANISATION: '3m',
      ATREST_BREAKER_HOLD_LIMIT: '1h',
      ATREST_BREAKER_MAX_COUNT: '7',
      ATREST_BREAKER_MAX_PERCENT: '5',
      ATREST_BREAKER_MINIMUM: '2',
      ATREST_BREAKER_CYCLE: '30s',
      ATREST_ROTATION_REMINDER_DAYS: '0',
    });
    expect(chosen.policy).toMatchObject({
      intervalMs: 300_000,
      confirmations: 5,
      confirmationWindowMs: 60_000,
      unreachableGraceMs: 60_000,
      unreachableOperatorsMs: 120_000,
      unreachableOrganisationMs: 180_000,
      holdLimitMs: 3_600_000,
    });
    expect(chosen.breaker).toEqual({ maxCount: 7, maxShare: 0.05, minimum: 2, cycleMs: 30_000 });
    expect(chosen.rotationReminderDays).toBeNull();
  });

  it('of this installation at the cloud providers', () => {
    const chosen = options({
      ATREST_AWS_KMS_ENDPOINT: 'https://kms.internal',
      ATREST_AWS_STS_ENDPOINT: 'https://sts.internal',
      ATREST_AWS_PRINCIPAL_ARN: 'arn:aws:iam::111122223333:role/atrest',
      ATREST_AWS_CREDENTIALS: 'access-key',
      ATREST_AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE',
      ATREST_AWS_SECRET_ACCESS_KEY: 'secret',
      ATREST_AZURE_APP_ID: UUID,
      ATREST_AZURE_FEDERATED_TOKEN_FILE: '/var/run/token',
      ATREST_GCP_SERVICE_ACCOUNT: 'atrest@p.iam.gserviceaccount.com',
      ATREST_GCP_SERVICE_ACCOUNT_KEY: '{"type":"service_account"}',
      ATREST_GCP_SUBJECT_TOKEN_FILES: '/var/run/a,/var/run/b',
      ATREST_GCP_SUBJECT_TOKEN_ORIGINS: 'https://tokens.example.com:8443',
    });
    expect(chosen).toMatchObject({
      awsEndpoint: 'https://kms.internal',
      aws: {
        stsEndpoint: 'https://sts.internal',
        installation: { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'secret' },
      },
      azure: { federatedTokenFile: '/var/run/token' },
      gcp: {
        serviceAccountKey: '{"type":"service_account"}',
        subjectTokens: { files: ['/var/run/a', '/var/run/b'], origins: ['https://tokens.example.com:8443'] },
      },
      identities: {
        awsPrincipalArn: 'arn:aws:iam::111122223333:role/atrest',
        azureAppId: UUID,
        gcpServiceAccount: 'atrest@p.iam.gserviceaccount.com',
      },
    });
    expect(options({ ATREST_AWS_CREDENTIALS: 'machine' }).aws).toEqual({ installation: expect.any(Function) });
  });

  it('of those from whom notifications are taken', () => {
    const topicArns = ['arn:aws:sns:eu-central-1:111122223333:kms', 'arn:aws-cn:sns:cn-north-1:111122223333:kms'];
    const { push } = options({
      ATREST_PUSH_AWS_TOPIC_ARNS: topicArns.join(','),
      ATREST_PUSH_AZURE_KEY: 'a-key-that-event-grid-sends',
      ATREST_PUSH_AZURE_TENANT_ID: UUID,
      ATREST_PUSH_AZURE_AUDIENCE: 'api://atrest',
      ATREST_PUSH_GCP_SERVICE_ACCOUNT: 'push@p.iam.gserviceaccount.com',
    });
    expect(push).toMatchObject({
      aws: { topicArns },
      azure: {
        key: 'a-key-that-event-grid-sends',
        tokens: {
          audience: 'api://atrest',
          claims: { tid: UUID },
          issuers: [`https://login.microsoftonline.com/${UUID}/v2.0`, `https://sts.windows.net/${UUID}/`],
        },
      },
      gcp: {
        tokens: {
          audience: 'https://atrest.example/kms-events/gcp',
          claims: { email: 'push@p.iam.gserviceaccount.com', email_verified: true },
        },
      },
    });
  });

  it.each([
    [{ ATREST_AWS_CREDENTIALS: 'access-key' }, ['ATREST_AWS_ACCESS_KEY_ID', 'ATREST_AWS_SECRET_ACCESS_KEY']],
    [{ ATREST_AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE' }, ['ATREST_AWS_CREDENTIALS']],
    [{ ATREST_AWS_PRINCIPAL_ARN: 'arn:aws:iam::111122223333:user/atrest' }, ['ATREST_AWS_CREDENTIALS']],
    [{ ATREST_AZURE_APP_ID: UUID }, ['ATREST_AZURE_FEDERATED_TOKEN_FILE']],
    [{ ATREST_GCP_SERVICE_ACCOUNT: 'a@p.iam.gserviceaccount.com' }, ['ATREST_GCP_SERVICE_ACCOUNT_KEY']],
    [{ ATREST_PUSH_AZURE_TENANT_ID: UUID }, ['ATREST_PUSH_AZURE_AUDIENCE']],
    [{ ATREST_KMIP_ALLOWED_NETWORKS: '10.0.0.0/33' }, ['ATREST_KMIP_ALLOWED_NETWORKS']],
    [{ ATREST_KMIP_ALLOWED_NETWORKS: '10.0.0.0/8,' }, ['ATREST_KMIP_ALLOWED_NETWORKS']],
    [{ ATREST_PUSH_AWS_TOPIC_ARNS: 'arn:aws:sqs:eu-central-1:111122223333:kms' }, ['ATREST_PUSH_AWS_TOPIC_ARNS']],
    [{ ATREST_GCP_SUBJECT_TOKEN_ORIGINS: 'http://169.254.169.254' }, ['ATREST_GCP_SUBJECT_TOKEN_ORIGINS']],
    [{ ATREST_GCP_SUBJECT_TOKEN_FILES: 'token' }, ['ATREST_GCP_SUBJECT_TOKEN_FILES']],
    [{ ATREST_CHECK_CONFIRMATIONS: '1' }, ['ATREST_CHECK_CONFIRMATIONS']],
  ])('%j: what is missing or wrong is named', (environment, variables) => {
    expect(problemsOf(environment)).toEqual(variables);
  });
});

describe('networks that KMIP servers may be in', () => {
  it.each(['10.0.0.0/8', '10.1.2.3', 'fd00::/8', '::1', '0.0.0.0/0'])('%s is one', (text) => {
    expect(isNetwork(text)).toBe(true);
  });

  it.each(['', '10.0.0.0/', '10.0.0.0/33', 'fd00::/129', '10.0.0.0/8/8', '10.0.0', 'kmip.example.com'])('%j is none', (text) => {
    expect(isNetwork(text)).toBe(false);
  });

  it('F90 holds what is named, and never our own machine or the metadata service', () => {
    const allowed = networkRule(['10.20.0.0/16', 'fd00:20::/32', '192.0.2.7']);
    expect(['10.20.255.1', 'fd00:20::5', '192.0.2.7'].map(allowed)).toEqual([true, true, true]);
    expect(['10.21.0.1', 'fd00:21::5', '192.0.2.8', '203.0.113.1'].map(allowed)).toEqual([false, false, false, false]);
    const anything = networkRule(['0.0.0.0/0', '::/0']);
    expect(['127.0.0.1', '::1', '169.254.169.254', '::ffff:127.0.0.1', 'fe80::1'].map(anything)).toEqual(Array(5).fill(false));
    expect(anything('203.0.113.1')).toBe(true);
  });
});
