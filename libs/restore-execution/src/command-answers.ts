import {
  restoreCommandAccepted,
  restoreCommandRejected,
  type RestoreCommand,
  type RestoreCommandRejected,
  type RestoreCommandRejection,
} from '@atrest/contracts';
import type { Logger } from '@atrest/platform-logging';
import { Refusal, type EventPublisher } from '@atrest/platform-messaging';
import type { Metrics } from '@atrest/platform-metrics';
import type { Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import type { CommandDecision } from './command-decision.js';
import type { RestoreCommandRepository } from './restore-command.repository.js';

/** Invalid and unauthorised commands are for people to look at as well: they are kept among the dead letters. The others only get their answer. */
const PARKED: Readonly<Record<RestoreCommandRejection, boolean>> = {
  INVALID_MESSAGE: true,
  INVALID_SIGNATURE: true,
  UNKNOWN_ACCOUNT: true,
  NOT_AUTHORISED: true,
  UNKNOWN_PROJECT: true,
  UNKNOWN_CLUSTER: false,
  EXPIRED: false,
  IDEMPOTENCY_KEY_REUSED: false,
  RESTORES_NOT_SERVED: false,
};

/** A command with the account whose signature was verified. */
export interface SignedCommand {
  readonly signedBy: string;
  readonly command: RestoreCommand;
}

/** What is known of a message that is rejected; only what a verified signature vouches for. */
type Known = Pick<RestoreCommandRejected, 'signedBy' | 'commandId' | 'idempotencyKey' | 'source' | 'target'>;

const NOTHING: Known = { signedBy: null, commandId: null, idempotencyKey: null, source: null, target: null };

/** What a command leaves in the record besides its names. */
interface Content {
  readonly digest: string | null;
  readonly issuedAt: string | null;
}

export interface CommandAnswersParts {
  readonly commands: RestoreCommandRepository;
  readonly publisher: EventPublisher;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Records what became of a command and publishes the answer, in one transaction. Returns what the handler has to return. */
export class CommandAnswers {
  private readonly counter;

  constructor(private readonly parts: CommandAnswersParts) {
    this.counter = parts.metrics.counter('atrest_restore_commands_total', 'Restore commands decided', ['outcome', 'reason']);
  }

  /** Nothing that the message says of itself is known to be true. */
  unverified(tx: Transaction, messageId: string, reason: RestoreCommandRejection, detail: string): Promise<void | Refusal> {
    return this.reject(tx, messageId, NOTHING, { digest: null, issuedAt: null }, { reason, detail });
  }

  /** The account signed something that is no command. */
  unreadable(tx: Transaction, messageId: string, known: Pick<Known, 'signedBy' | 'commandId'>, detail: string): Promise<void | Refusal> {
    return this.reject(tx, messageId, { ...NOTHING, ...known }, { digest: null, issuedAt: null }, { reason: 'INVALID_MESSAGE', detail });
  }

  async decided(
    tx: Transaction,
    messageId: string,
    signed: SignedCommand & { readonly digest: string },
    decision: CommandDecision,
  ): Promise<void | Refusal> {
    const { commandId, idempotencyKey, issuedAt, source, target } = signed.command;
    const known = { signedBy: signed.signedBy, commandId, idempotencyKey, source, target };
    const content = { digest: signed.digest, issuedAt };
    switch (decision.kind) {
      case 'known':
        this.counter.inc({ outcome: 'known', reason: '' });
        this.parts.logger.info({ messageId, signedBy: signed.signedBy, commandId }, 'a restore command arrived again');
        return undefined;
      case 'rejected':
        return this.reject(tx, messageId, known, content, decision);
      case 'accepted': {
        const decidedAt = this.parts.clock.now();
        await this.parts.commands.record(tx, {
          messageId,
          ...known,
          ...content,
          outcome: 'accepted',
          reason: null,
          detail: null,
          decidedAt,
        });
        await this.parts.publisher.publish(tx, restoreCommandAccepted, { messageId, decidedAt: decidedAt.toISOString(), ...known });
        this.report(messageId, known, 'accepted', '');
        return undefined;
      }
    }
  }

  private async reject(
    tx: Transaction,
    messageId: string,
    known: Known,
    content: Content,
    { reason, detail }: { readonly reason: RestoreCommandRejection; readonly detail: string },
  ): Promise<void | Refusal> {
    const decidedAt = this.parts.clock.now();
    await this.parts.commands.record(tx, { messageId, ...known, ...content, outcome: 'rejected', reason, detail, decidedAt });
    const answer = { messageId, decidedAt: decidedAt.toISOString(), ...known, reason, detail };
    await this.parts.publisher.publish(tx, restoreCommandRejected, answer);
    this.report(messageId, known, 'rejected', reason);
    return PARKED[reason] ? new Refusal(`${reason}: ${detail}`) : undefined;
  }

  private report(messageId: string, { signedBy, commandId }: Known, outcome: string, reason: string): void {
    this.counter.inc({ outcome, reason });
    this.parts.logger.info({ messageId, signedBy, commandId, outcome, reason }, 'a restore command was decided');
  }
}
