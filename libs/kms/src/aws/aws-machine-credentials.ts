import type { AwsCredentials } from './aws-assumed-role.js';

/**
 * What the AWS SDK finds on the machine by its usual rules: environment, shared configuration file, web identity token, container, instance. For an
 * operator who wants that; nothing here looks for credentials by itself. They are renewed by the SDK before they end.
 */
export function machineAwsCredentials(): () => Promise<AwsCredentials> {
  let find: (() => Promise<AwsCredentials>) | null = null;
  return async () => {
    if (find === null) {
      const { STSClient } = await import('@aws-sdk/client-sts');
      // Nothing is asked of STS through it: it only has the SDK's chain of providers, with what they remember.
      find = new STSClient({}).config.credentials;
    }
    return find();
  };
}
