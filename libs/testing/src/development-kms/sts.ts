import type { Clock } from '@atrest/platform-time';
import { KmsFailure } from './kms-failure.js';
import { partitionOf, type KmsStore } from './kms-store.js';
import type { Principal } from './sigv4.js';

/** What STS calls the failures that the signature check finds. */
const STS_NAMES: Readonly<Record<string, string>> = {
  UnrecognizedClientException: 'InvalidClientTokenId',
  InvalidSignatureException: 'SignatureDoesNotMatch',
  ExpiredTokenException: 'ExpiredToken',
  MissingAuthenticationTokenException: 'MissingAuthenticationToken',
  IncompleteSignatureException: 'IncompleteSignature',
  AccessDeniedException: 'AccessDenied',
  ThrottlingException: 'Throttling',
};

/** `AssumeRole` of AWS STS. */
export class SecurityTokens {
  constructor(
    private readonly store: KmsStore,
    private readonly clock: Clock,
  ) {}

  createRole(o: { name: string; externalId: string | null; region: string }): string {
    const arn = `arn:${partitionOf(o.region)}:iam::${this.store.accountId}:role/${o.name}`;
    this.store.change((state) => {
      state.roles = [...(state.roles ?? []).filter((role) => role.arn !== arn), { arn, externalId: o.externalId }];
    });
    return arn;
  }

  deleteRole(arn: string): void {
    this.store.change((state) => {
      state.roles = (state.roles ?? []).filter((role) => role.arn !== arn);
    });
  }

  /** The answer to a request whose signature was checked. */
  answer(form: URLSearchParams, who: Principal, requestId: string): Buffer {
    const action = form.get('Action') ?? '';
    if (action !== 'AssumeRole') throw new KmsFailure('InvalidAction', `Could not find operation ${action} for version 2011-06-15`);
    const known = ['Action', 'Version', 'RoleArn', 'RoleSessionName', 'ExternalId', 'DurationSeconds'];
    const unknown = [...form.keys()].find((member) => !known.includes(member));
    if (unknown !== undefined) throw new KmsFailure('ValidationError', `The development KMS does not support ${unknown} for AssumeRole.`);
    const roleArn = form.get('RoleArn') ?? '';
    const sessionName = form.get('RoleSessionName') ?? '';
    const seconds = Number(form.get('DurationSeconds') ?? 3600);
    if (!/^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@/-]+$/.test(roleArn)) throw new KmsFailure('ValidationError', `${roleArn} is invalid`);
    if (!/^[\w+=,.@-]{2,64}$/.test(sessionName)) throw new KmsFailure('ValidationError', 'Invalid RoleSessionName');
    if (!(seconds >= 900 && seconds <= 43_200)) throw new KmsFailure('ValidationError', 'Invalid DurationSeconds');
    const role = this.store.roles.find((candidate) => candidate.arn === roleArn);
    // AWS does not tell apart: no such role, a trust policy that does not name the caller, a wrong external id, a denial on our side.
    const trusted = role !== undefined && (role.externalId === null || role.externalId === form.get('ExternalId'));
    if (!trusted || this.denied(who)) {
      const user = `arn:${partitionOf(who.region)}:iam::${this.store.accountId}:user/${who.accessKey.userName}`;
      throw new KmsFailure('AccessDeniedException', `User: ${user} is not authorized to perform: sts:AssumeRole on resource: ${roleArn}`);
    }
    const expiresAt = this.clock.now().getTime() + seconds * 1000;
    const name = roleArn.split('/').at(-1) ?? '';
    const session = this.store.createAccessKey({ userName: `assumed-role/${name}/${sessionName}`, temporary: true, expiresAt });
    const assumed = roleArn.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/');
    return xml(
      `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>` +
        `<AssumedRoleUser><AssumedRoleId>AROADEVELOPMENT:${sessionName}</AssumedRoleId><Arn>${assumed}/${sessionName}</Arn></AssumedRoleUser>` +
        `<Credentials><AccessKeyId>${session.accessKeyId}</AccessKeyId><SecretAccessKey>${session.secretAccessKey}</SecretAccessKey>` +
        `<SessionToken>${session.sessionToken}</SessionToken><Expiration>${new Date(expiresAt).toISOString()}</Expiration></Credentials>` +
        `</AssumeRoleResult><ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata></AssumeRoleResponse>`,
    );
  }

  /** A failure as STS sends it. */
  failure(error: KmsFailure, requestId: string): { readonly name: string; readonly status: number; readonly text: Buffer } {
    const name = STS_NAMES[error.name] ?? error.name;
    const status = error.status === 400 && STS_NAMES[error.name] !== undefined && name !== 'Throttling' ? 403 : error.status;
    const text = xml(
      `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>${name}</Code>` +
        `<Message>${escaped(error.message)}</Message></Error><RequestId>${requestId}</RequestId></ErrorResponse>`,
    );
    return { name, status, text };
  }

  private denied(who: Principal): boolean {
    return this.store.denials.some(
      (denial) =>
        denial.keyId === undefined &&
        (denial.accessKeyId === undefined || denial.accessKeyId === who.accessKey.accessKeyId) &&
        (denial.operations === undefined || denial.operations.includes('AssumeRole')),
    );
  }
}

const xml = (text: string): Buffer => Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${text}`, 'utf8');

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
