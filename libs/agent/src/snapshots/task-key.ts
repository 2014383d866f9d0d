import type { AwsKeyProviderOptions, AzureKeyProviderOptions, GcpKeyProviderOptions, KmipKeyProviderOptions, Verdict } from '@atrest/kms';
import type { DataKeyWrapper } from '@atrest/snapshot-store';
import { BackupError } from './backup-error.js';

/** Where the key providers are reached, in place of their own addresses. Operators only: a project would make hosts talk to any address of their network. */
export interface AgentKmsOptions {
  readonly aws?: Pick<AwsKeyProviderOptions, 'endpoint'>;
  readonly azure?: Pick<AzureKeyProviderOptions, 'federatedTokenFile' | 'development'>;
  readonly gcp?: Pick<GcpKeyProviderOptions, 'endpoint' | 'subjectTokens'>;
  readonly kmip?: Pick<KmipKeyProviderOptions, 'allowAddress'>;
}

/** The customer key did not wrap or unwrap. */
export class KeyUseError extends BackupError {
  constructor(
    readonly verdict: Verdict,
    what: string,
    cause: unknown,
  ) {
    const said = [verdict.errorName, verdict.message].filter((part) => part !== null).join(': ');
    const detail = `The customer key did not ${what} the data key (${verdict.reason}${said === '' ? '' : `; ${said}`}).`;
    super(verdict.kind === 'transient' ? 'KEY_UNREACHABLE' : 'KEY_REFUSED', detail, { cause });
  }

  /** What was learnt about the key: nothing, when the KMS could not be asked or the access that we were lent is over. */
  get isAboutTheKey(): boolean {
    return this.verdict.kind === 'definitive' && this.verdict.reason !== 'CREDENTIALS_EXPIRED';
  }
}

/** What wraps and unwraps the data keys of a task. The caller closes it. */
export interface TaskKey extends DataKeyWrapper {
  close(): void;
}
