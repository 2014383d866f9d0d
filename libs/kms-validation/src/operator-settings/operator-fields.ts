import { duration, integer, optional, oneOf, secret, text, url } from '@atrest/platform-config';
import { VALIDITY_POLICY_LIMITS } from '../policy-settings.js';

type PolicyDuration = {
  [Name in keyof typeof VALIDITY_POLICY_LIMITS]: (typeof VALIDITY_POLICY_LIMITS)[Name]['unit'] extends 'ms' ? Name : never;
}[keyof typeof VALIDITY_POLICY_LIMITS];

/** A duration of the policy, with its limits and its words. */
function policyDuration(setting: PolicyDuration) {
  const { min, max, default: fallback, description } = VALIDITY_POLICY_LIMITS[setting];
  return duration({ min, max, default: fallback, description });
}

/** One or more of the items, separated by commas; the description goes on after that word. */
function list(item: string, description: string) {
  return optional(text({ pattern: new RegExp(`^${item}(?:,${item})*$`), description: `Comma-separated ${description}` }));
}

const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}';
const uuid = (description: string) => optional(text({ pattern: new RegExp(`^${UUID}$`), description }));
const ACCOUNT_OF_GOOGLE = /^[a-z0-9-]{1,64}@[a-z0-9.-]{1,190}\.gserviceaccount\.com$/;
const absoluteFile = String.raw`\/[^,\s]+`;

/** What the operator of an installation decides about keys and their checks, beside sealing keys and addresses. {@link operatorOptions} makes options of it. */
export const operatorFields = {
  ATREST_CHECK_INTERVAL: policyDuration('intervalMs'),
  ATREST_CHECK_CONFIRMATIONS: integer({
    min: VALIDITY_POLICY_LIMITS.confirmations.min,
    max: VALIDITY_POLICY_LIMITS.confirmations.max,
    default: VALIDITY_POLICY_LIMITS.confirmations.default,
    description: VALIDITY_POLICY_LIMITS.confirmations.description,
  }),
  ATREST_CHECK_CONFIRMATION_WINDOW: policyDuration('confirmationWindowMs'),
  ATREST_UNREACHABLE_GRACE: policyDuration('unreachableGraceMs'),
  ATREST_UNREACHABLE_OPERATORS: policyDuration('unreachableOperatorsMs'),
  ATREST_UNREACHABLE_ORGANISATION: policyDuration('unreachableOrganisationMs'),
  ATREST_ROTATION_REMINDER_DAYS: integer({
    min: 0,
    max: 3650,
    default: 365,
    description: 'Age in days at which owners are reminded to change a key, where the project decided nothing; 0 reminds nobody',
  }),

  ATREST_BREAKER_MAX_COUNT: integer({
    min: 1,
    max: 1_000_000,
    default: 50,
    description: 'Shutdowns are held when more configurations than this fail in one cycle',
  }),
  ATREST_BREAKER_MAX_PERCENT: integer({
    min: 1,
    max: 100,
    default: 30,
    description: 'Shutdowns are held when more than this part of all configurations fails in one cycle',
  }),
  ATREST_BREAKER_MINIMUM: integer({
    min: 1,
    max: 1_000_000,
    default: 10,
    description: 'Nothing is held below this number of failing configurations, whatever part of all they are',
  }),
  ATREST_BREAKER_CYCLE: duration({
    min: '1s',
    max: '1h',
    default: '2m',
    description: 'How long a configuration that turned invalid counts as of the present cycle',
  }),
  ATREST_BREAKER_HOLD_LIMIT: policyDuration('holdLimitMs'),

  ATREST_AWS_KMS_ENDPOINT: optional(
    url({
      protocols: ['http:', 'https:'],
      description: 'AWS KMS endpoint in place of the real ones, for a private endpoint or a development KMS',
    }),
  ),
  ATREST_AWS_STS_ENDPOINT: optional(
    url({ protocols: ['http:', 'https:'], description: "AWS STS endpoint in place of the regions' own, for a private endpoint" }),
  ),
  ATREST_AWS_PRINCIPAL_ARN: optional(
    text({
      pattern: /^arn:aws[a-z-]*:iam::\d{12}:(?:user|role)\/[\w+=,.@/-]{1,512}$/,
      description:
        "Who this installation is in AWS: the principal that projects name in their roles' trust policies; without it no AWS roles are offered",
    }),
  ),
  ATREST_AWS_CREDENTIALS: oneOf(['none', 'access-key', 'machine'], {
    default: 'none',
    description:
      "What projects' roles are assumed with: the access key below, or `machine`, what the AWS SDK finds by its usual rules (web identity, container, instance, environment)",
  }),
  ATREST_AWS_ACCESS_KEY_ID: optional(text({ pattern: /^[A-Z0-9]{16,128}$/, description: "Id of this installation's own access key" })),
  ATREST_AWS_SECRET_ACCESS_KEY: secret({ optional: true, description: "Secret of this installation's own access key" }),

  ATREST_AZURE_APP_ID: uuid(
    'Application id of this installation in Azure, which projects grant rights on their vaults; without it no Azure roles are offered',
  ),
  ATREST_AZURE_FEDERATED_TOKEN_FILE: optional(
    text({
      pattern: new RegExp(`^${absoluteFile}$`),
      description: "File with the workload's token that Entra takes as proof of the application",
    }),
  ),

  ATREST_GCP_SERVICE_ACCOUNT: optional(
    text({
      pattern: ACCOUNT_OF_GOOGLE,
      description:
        'E-mail address of the service account that projects grant rights on their keys; without it no Google Cloud roles are offered',
    }),
  ),
  ATREST_GCP_SERVICE_ACCOUNT_KEY: secret({
    optional: true,
    description: 'JSON document of that service account: its key, or the credential configuration of a workload identity pool',
  }),
  ATREST_GCP_SUBJECT_TOKEN_FILES: list(
    absoluteFile,
    'files that credential configurations of workload identity pools may name as token files',
  ),
  ATREST_GCP_SUBJECT_TOKEN_ORIGINS: list(
    String.raw`https:\/\/[a-z0-9.-]+(?::\d{1,5})?`,
    'origins that credential configurations of workload identity pools may ask for tokens',
  ),

  ATREST_KMIP_ALLOWED_NETWORKS: list(
    String.raw`[0-9a-fA-F.:]{2,45}(?:\/\d{1,3})?`,
    "addresses or networks (`10.20.0.0/16`) that projects' KMIP servers may have; without it any but our own machine's and link-local ones, which never count",
  ),

  ATREST_PUSH_AWS_TOPIC_ARNS: list(
    String.raw`arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w.-]{1,256}`,
    'SNS topics whose notifications are taken at `/kms-events/aws`',
  ),
  ATREST_PUSH_AZURE_KEY: secret({
    optional: true,
    minLength: 16,
    description: 'What Event Grid sends as header `x-atrest-event-key` to `/kms-events/azure`',
  }),
  ATREST_PUSH_AZURE_TENANT_ID: uuid('Entra tenant whose tokens Event Grid sends to `/kms-events/azure`'),
  ATREST_PUSH_AZURE_AUDIENCE: optional(
    text({ description: "Those tokens' audience: the application that Event Grid was told to ask for" }),
  ),
  ATREST_PUSH_GCP_SERVICE_ACCOUNT: optional(
    text({ pattern: ACCOUNT_OF_GOOGLE, description: 'Service account whose tokens Pub/Sub sends to `/kms-events/gcp`' }),
  ),
  ATREST_PUSH_GCP_AUDIENCE: optional(
    text({ description: "Those tokens' audience; the public address of `/kms-events/gcp` when not set, as Pub/Sub does" }),
  ),
} as const;
