import { keyAccessGranted, keyAccessRefused, type BackupFailure, type KeyAccess as KeyAccessState } from '@atrest/contracts';
import { classifyAwsError, KeySettingsRefusedError, KmsUsageError } from '@atrest/kms';
import { redactText, type Logger } from '@atrest/platform-logging';
import type { EventPublisher } from '@atrest/platform-messaging';
import type { ServiceDatabase } from '@atrest/platform-persistence';
import { backoffMs, BackgroundLoop, type Clock } from '@atrest/platform-time';
import { RoleNotAuthorisedError, type KeyAccess } from '../key-access.js';
import { decisiveEvidence, type KeyConfiguration } from '../key-configuration.js';
import type { KeyConfigurationRepository } from '../key-configuration.repository.js';
import type { EffectivePolicies } from '../project-policy/effective-policies.js';
import { bindingOf } from '../providers/bindings.js';
import { mayBeHandedOut, secondKeyRole } from '../second-key.js';
import { accessForAgent, AccessNotForAgentsError, type AccessForAgent, type RoleSessions } from './access-for-agent.js';
import type { KeyAccessMetrics } from './key-access-metrics.js';
import type { KeyAccessRequest, KeyAccessRequestRepository } from './key-access-request.repository.js';
import { sealForAgent } from './seal-for-agent.js';

export interface KeyAccessAnswersOptions {
  readonly database: ServiceDatabase;
  readonly requests: KeyAccessRequestRepository;
  readonly repository: KeyConfigurationRepository;
  readonly access: KeyAccess;
  readonly policies: EffectivePolicies;
  readonly sessions: RoleSessions;
  readonly publisher: EventPublisher;
  readonly metrics: KeyAccessMetrics;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What became of one try to answer. */
type Answer =
  | { readonly kind: 'granted'; readonly encryptionKeyId: string; readonly sealed: string }
  | { readonly kind: 'refused'; readonly failure: BackupFailure };

/** Requests that are worked on at the same time in this replica: each is a call to STS at most. */
const AT_ONCE = 16;
/** Retries are found after this at the latest; a new request wakes the loop. */
const INTERVAL_MS = 1_000;
/** Six times the limit of a call: whoever has not answered by then has died. */
const LEASE_MS = 60_000;
/** With the pauses between them, half a minute in all: an agent's task waits, and a lost minute of STS should not fail it. */
const TRIES = 6;
const PAUSE = { baseMs: 1_000, maxMs: 15_000 };

/**
 * Answers requests for access to customer keys. A request is a row; no transaction is open while a provider is asked. Each request is answered once, by
 * whichever replica has it, with access that only the host can open, or with the reason why there is none.
 */
export class KeyAccessAnswers {
  private readonly loop: BackgroundLoop;

  constructor(private readonly options: KeyAccessAnswersOptions) {
    this.loop = new BackgroundLoop({
      name: 'key-access-answers',
      intervalMs: INTERVAL_MS,
      run: async () => ((await this.runDue()) === AT_ONCE ? 'again' : undefined),
      onError: (error) => options.logger.error({ err: error }, 'requests for access to keys could not be taken; trying again'),
    });
  }

  start(): void {
    this.loop.start();
  }

  wake(): void {
    this.loop.wake();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  /** Works on what is due; answers how many requests that were. */
  async runDue(): Promise<number> {
    const { requests, clock } = this.options;
    const now = clock.now();
    const claimed = await requests.claim(AT_ONCE, now, new Date(now.getTime() + LEASE_MS));
    await Promise.all(claimed.map((request) => this.tryToAnswer(request)));
    return claimed.length;
  }

  private async tryToAnswer(request: KeyAccessRequest): Promise<void> {
    const { requests, clock, logger } = this.options;
    const { taskId, hostId, projectId, provider } = request;
    try {
      const answer = await this.answerOf(request);
      await this.give(request, answer);
    } catch (error) {
      const facts = { taskId, hostId, projectId, provider, tries: request.tries };
      if (request.tries >= TRIES) {
        logger.error({ ...facts, err: error }, 'access to a customer key could not be given');
        await this.give(request, { kind: 'refused', failure: unreachable(request, error) });
        return;
      }
      logger.warn({ ...facts, err: error }, 'access to a customer key could not be given yet; trying again');
      await requests.postpone(request, new Date(clock.now().getTime() + backoffMs(request.tries, PAUSE)));
    }
  }

  /** Throws for whatever may pass. */
  private async answerOf({ taskId, projectId, provider, sealingKey }: KeyAccessRequest): Promise<Answer> {
    const { repository, access, sessions } = this.options;
    const configuration = await repository.find(projectId, provider);
    if (configuration === null) return refuse(`Encryption at rest with a key in ${bindingOf(provider).kms} is not enabled in the project.`);
    if (configuration.validity.state === 'INVALID') return refuse(whyInvalid(configuration));
    const encryptionKeyId = configuration.canary.blob.resolvedKeyId;
    try {
      const reference = await access.reference(configuration);
      const first = await accessForAgent(reference, encryptionKeyId, sessions);
      const second = await this.secondAccess(configuration);
      const secret = { taskId, projectId, encryptionKeyId, access: first, ...(second !== null && { second }) };
      return { kind: 'granted', encryptionKeyId, sealed: await sealForAgent(secret, sealingKey) };
    } catch (error) {
      const why = definitiveReason(error);
      if (why === null) throw error;
      return refuse(why);
    }
  }

  /** Access to the second key, where the project has one that may be used now. The lack of it is never a reason to refuse the first. */
  private async secondAccess(first: KeyConfiguration): Promise<AccessForAgent | null> {
    const { repository, access, sessions, policies, logger } = this.options;
    const { projectId, provider } = first;
    const secondProvider = (await policies.decidedBy(projectId)).secondProviders[provider];
    const second = secondProvider === undefined ? null : await repository.find(projectId, secondProvider);
    if (second === null || !mayBeHandedOut(secondKeyRole(first.validity, second.validity))) return null;
    try {
      return await accessForAgent(await access.reference(second), second.canary.blob.resolvedKeyId, sessions);
    } catch (error) {
      logger.warn({ projectId, provider, secondProvider, err: error }, 'access to a second key could not be given; the first goes alone');
      return null;
    }
  }

  private async give(request: KeyAccessRequest, answer: Answer): Promise<void> {
    const { database, requests, publisher, clock, logger, metrics } = this.options;
    const { taskId, hostId, projectId, provider, sealingKey, requestedAt } = request;
    const now = clock.now();
    const state: KeyAccessState = {
      taskId,
      hostId,
      projectId,
      provider,
      encryptionKeyId: answer.kind === 'granted' ? answer.encryptionKeyId : null,
      sealed: answer.kind === 'granted' ? answer.sealed : null,
      sealedFor: sealingKey,
      failure: answer.kind === 'refused' ? answer.failure : null,
      at: now.toISOString(),
    };
    const outcome = await database.transaction(async (tx) => {
      const written = await requests.answer(tx, request, now);
      if (written === 'answered') await publisher.publish(tx, answer.kind === 'granted' ? keyAccessGranted : keyAccessRefused, state);
      return written;
    });
    if (outcome === 'superseded') return;
    metrics.answered(
      provider,
      answer.kind === 'granted' ? 'granted' : answer.failure.code,
      (now.getTime() - requestedAt.getTime()) / 1_000,
    );
    const facts = { taskId, hostId, projectId, provider };
    if (answer.kind === 'granted') {
      logger.info({ ...facts, encryptionKeyId: answer.encryptionKeyId }, 'access to a customer key was given to an agent');
    } else logger.warn({ ...facts, failure: answer.failure }, 'access to a customer key was refused to an agent');
  }
}

const refuse = (detail: string): Answer => ({ kind: 'refused', failure: { code: 'KEY_REFUSED', detail: detail.slice(0, 2_000) } });

function whyInvalid(configuration: KeyConfiguration): string {
  const evidence = decisiveEvidence(configuration.validity).findLast((each) => each.verdict === 'definitive');
  const said = evidence === undefined ? '' : ` ${[evidence.reason, evidence.message ?? evidence.errorName].filter(Boolean).join(': ')}`;
  return `The customer key cannot be used.${said}`;
}

/** Why no try will ever succeed as things are; null when one may. */
function definitiveReason(error: unknown): string | null {
  if (error instanceof AccessNotForAgentsError) return error.message;
  if (error instanceof RoleNotAuthorisedError || error instanceof KmsUsageError || error instanceof KeySettingsRefusedError)
    return error.message;
  const verdict = classifyAwsError(error, { hasSessionToken: false });
  if (verdict.kind !== 'definitive') return null;
  return `The role that the project uses in AWS could not be assumed: ${verdict.message ?? verdict.errorName ?? verdict.reason}`;
}

function unreachable({ provider, tries }: KeyAccessRequest, error: unknown): BackupFailure {
  const { message, errorName, reason } = classifyAwsError(error, { hasSessionToken: false });
  const said =
    provider === 'AWS'
      ? [errorName ?? reason, message].filter(Boolean).join(': ')
      : redactText(error instanceof Error ? error.message : '');
  return {
    code: 'KEY_UNREACHABLE',
    detail: `Access to the customer key could not be prepared in ${tries} tries. ${said}`.trim().slice(0, 2_000),
  };
}
