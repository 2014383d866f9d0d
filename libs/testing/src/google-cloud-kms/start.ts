import type { DevelopmentGoogleCloudKms, DevelopmentGoogleCloudKmsOptions } from './google-cloud-kms.js';

/** Starts a development Google Cloud KMS. What it is made of is loaded only now: gRPC and the generated messages take most of a second. */
export async function startDevelopmentGoogleCloudKms(options: DevelopmentGoogleCloudKmsOptions = {}): Promise<DevelopmentGoogleCloudKms> {
  const { DevelopmentGoogleCloudKms: Implementation } = await import('./google-cloud-kms.js');
  return Implementation.start(options);
}
