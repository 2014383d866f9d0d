import { secret, text } from '@atrest/platform-config';

/** What the provisioning job reads. */
export const provisionFields = {
  ATREST_ADMIN_DATABASE_URL: secret({ description: 'PostgreSQL with a role that may create roles and schemas in the database' }),
  ATREST_SECRETS_FOLDER: text({
    description: 'Gets one folder per service with `database-url` and, where the service seals something, `sealing-keys` (mode 0600)',
  }),
} as const;
