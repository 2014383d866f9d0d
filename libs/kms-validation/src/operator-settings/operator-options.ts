import { machineAwsCredentials, type AwsCredentials } from '@atrest/kms';
import { ConfigError, type Compiled, type ConfigProblem } from '@atrest/platform-config';
import { compileBreakerLimits } from '../breaker/breaker-policy.js';
import type { KmsValidationOptions } from '../kms-validation.service.js';
import { compileValidityPolicy } from '../policy-settings.js';
import type { AdapterSettings } from '../providers/adapters.js';
import { remoteKeys } from '../push/event-tokens.js';
import type { PushSources } from '../push/kms-events.js';
import { isNetwork, networkRule } from './network-rule.js';
import type { operatorFields } from './operator-fields.js';

export type OperatorConfiguration = Compiled<typeof operatorFields>;

type OperatorOptions = Required<Pick<KmsValidationOptions, 'policy' | 'breaker' | 'identities' | 'push'>> &
  Pick<KmsValidationOptions, 'rotationReminderDays'> &
  AdapterSettings;

/** Issuer and keys of the tokens that Pub/Sub sends (Google's OpenID configuration). */
const GOOGLE = { issuer: 'https://accounts.google.com', keys: 'https://www.googleapis.com/oauth2/v3/certs' };

/**
 * Options of the service from an operator's settings.
 *
 * @throws ConfigError when settings do not fit together, naming those that are missing or too many; `ValidityPolicyError` for the policy's
 */
export function operatorOptions(configuration: OperatorConfiguration, publicUrl: string): OperatorOptions {
  const problems = contradictions(configuration);
  if (problems.length > 0) throw new ConfigError(problems);
  const c = configuration;
  return {
    policy: compileValidityPolicy({
      intervalMs: c.ATREST_CHECK_INTERVAL,
      confirmations: c.ATREST_CHECK_CONFIRMATIONS,
      confirmationWindowMs: c.ATREST_CHECK_CONFIRMATION_WINDOW,
      unreachableGraceMs: c.ATREST_UNREACHABLE_GRACE,
      unreachableOperatorsMs: c.ATREST_UNREACHABLE_OPERATORS,
      unreachableOrganisationMs: c.ATREST_UNREACHABLE_ORGANISATION,
      holdLimitMs: c.ATREST_BREAKER_HOLD_LIMIT,
    }),
    rotationReminderDays: c.ATREST_ROTATION_REMINDER_DAYS === 0 ? null : c.ATREST_ROTATION_REMINDER_DAYS,
    breaker: compileBreakerLimits({
      maxCount: c.ATREST_BREAKER_MAX_COUNT,
      maxShare: c.ATREST_BREAKER_MAX_PERCENT / 100,
      minimum: c.ATREST_BREAKER_MINIMUM,
      cycleMs: c.ATREST_BREAKER_CYCLE,
    }),
    identities: {
      ...(c.ATREST_AWS_PRINCIPAL_ARN !== undefined && { awsPrincipalArn: c.ATREST_AWS_PRINCIPAL_ARN }),
      ...(c.ATREST_AZURE_APP_ID !== undefined && { azureAppId: c.ATREST_AZURE_APP_ID }),
      ...(c.ATREST_GCP_SERVICE_ACCOUNT !== undefined && { gcpServiceAccount: c.ATREST_GCP_SERVICE_ACCOUNT }),
    },
    push: pushSources(c, publicUrl),
    ...adapterSettings(c),
  };
}

const listed = (text: string | undefined): string[] => text?.split(',') ?? [];

function adapterSettings(c: OperatorConfiguration): AdapterSettings {
  const installation = awsInstallation(c);
  const networks = listed(c.ATREST_KMIP_ALLOWED_NETWORKS);
  return {
    ...(c.ATREST_AWS_KMS_ENDPOINT !== undefined && { awsEndpoint: c.ATREST_AWS_KMS_ENDPOINT }),
    aws: {
      ...(c.ATREST_AWS_STS_ENDPOINT !== undefined && { stsEndpoint: c.ATREST_AWS_STS_ENDPOINT }),
      ...(installation !== null && { installation }),
    },
    azure: { ...(c.ATREST_AZURE_FEDERATED_TOKEN_FILE !== undefined && { federatedTokenFile: c.ATREST_AZURE_FEDERATED_TOKEN_FILE }) },
    gcp: {
      ...(c.ATREST_GCP_SERVICE_ACCOUNT_KEY !== undefined && { serviceAccountKey: c.ATREST_GCP_SERVICE_ACCOUNT_KEY.reveal() }),
      subjectTokens: { files: listed(c.ATREST_GCP_SUBJECT_TOKEN_FILES), origins: listed(c.ATREST_GCP_SUBJECT_TOKEN_ORIGINS) },
    },
    kmip: networks.length === 0 ? {} : { allowAddress: networkRule(networks) },
  };
}

function awsInstallation(c: OperatorConfiguration): AwsCredentials | (() => Promise<AwsCredentials>) | null {
  if (c.ATREST_AWS_CREDENTIALS === 'machine') return machineAwsCredentials();
  if (c.ATREST_AWS_ACCESS_KEY_ID === undefined || c.ATREST_AWS_SECRET_ACCESS_KEY === undefined) return null;
  return { accessKeyId: c.ATREST_AWS_ACCESS_KEY_ID, secretAccessKey: c.ATREST_AWS_SECRET_ACCESS_KEY.reveal() };
}

function pushSources(c: OperatorConfiguration, publicUrl: string): PushSources {
  const topicArns = listed(c.ATREST_PUSH_AWS_TOPIC_ARNS);
  const tenant = c.ATREST_PUSH_AZURE_TENANT_ID;
  const pusher = c.ATREST_PUSH_GCP_SERVICE_ACCOUNT;
  return {
    ...(topicArns.length > 0 && { aws: { topicArns } }),
    azure: {
      ...(c.ATREST_PUSH_AZURE_KEY !== undefined && { key: c.ATREST_PUSH_AZURE_KEY.reveal() }),
      ...(tenant !== undefined && {
        tokens: {
          // Which of the two an application gets is a setting of the application.
          issuers: [`https://login.microsoftonline.com/${tenant}/v2.0`, `https://sts.windows.net/${tenant}/`],
          audience: c.ATREST_PUSH_AZURE_AUDIENCE!,
          claims: { tid: tenant },
          keys: remoteKeys(`https://login.microsoftonline.com/${tenant}/discovery/v2.0/keys`),
        },
      }),
    },
    ...(pusher !== undefined && {
      gcp: {
        tokens: {
          issuers: [GOOGLE.issuer],
          audience: c.ATREST_PUSH_GCP_AUDIENCE ?? `${publicUrl.replace(/\/$/, '')}/kms-events/gcp`,
          claims: { email: pusher, email_verified: true },
          keys: remoteKeys(GOOGLE.keys),
        },
      },
    }),
  };
}

/** Settings that are right by themselves and not together. */
function contradictions(c: OperatorConfiguration): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const need = (name: keyof OperatorConfiguration, because: string): void => {
    if (c[name] === undefined) problems.push({ variable: name, rule: `is not set. Set it, because ${because}.` });
  };
  if (c.ATREST_AWS_CREDENTIALS === 'access-key') {
    need('ATREST_AWS_ACCESS_KEY_ID', 'ATREST_AWS_CREDENTIALS says access-key');
    need('ATREST_AWS_SECRET_ACCESS_KEY', 'ATREST_AWS_CREDENTIALS says access-key');
  } else if (c.ATREST_AWS_ACCESS_KEY_ID !== undefined || c.ATREST_AWS_SECRET_ACCESS_KEY !== undefined) {
    problems.push({ variable: 'ATREST_AWS_CREDENTIALS', rule: 'must be access-key, because an access key is set.' });
  }
  if (c.ATREST_AWS_PRINCIPAL_ARN !== undefined && c.ATREST_AWS_CREDENTIALS === 'none') {
    problems.push({ variable: 'ATREST_AWS_CREDENTIALS', rule: 'must not be none, because ATREST_AWS_PRINCIPAL_ARN offers roles.' });
  }
  if (c.ATREST_AZURE_APP_ID !== undefined) need('ATREST_AZURE_FEDERATED_TOKEN_FILE', 'ATREST_AZURE_APP_ID offers roles');
  if (c.ATREST_GCP_SERVICE_ACCOUNT !== undefined) need('ATREST_GCP_SERVICE_ACCOUNT_KEY', 'ATREST_GCP_SERVICE_ACCOUNT offers roles');
  if (c.ATREST_PUSH_AZURE_TENANT_ID !== undefined) need('ATREST_PUSH_AZURE_AUDIENCE', 'ATREST_PUSH_AZURE_TENANT_ID is set');
  if (listed(c.ATREST_KMIP_ALLOWED_NETWORKS).some((network) => !isNetwork(network))) {
    problems.push({ variable: 'ATREST_KMIP_ALLOWED_NETWORKS', rule: 'must hold IP addresses and networks only, such as 10.20.0.0/16.' });
  }
  return problems;
}
