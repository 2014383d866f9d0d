import type { RestoreCommandRejection } from '@atrest/contracts';
import { rows, type Transaction } from '@atrest/platform-persistence';

/** Three months: for who asks later what became of a command. For idempotency minutes would do, since older commands are refused as expired. */
const KEEP_MS = 90 * 86_400_000;
/** Rows deleted at most per write, so that no handler ever becomes a long transaction. */
const PRUNE_BATCH = 100;

/** A restore command with what became of it. */
export interface RecordedCommand {
  readonly messageId: string;
  /** Who signed it; null when no signature vouches for anything. */
  readonly signedBy: string | null;
  readonly commandId: string | null;
  readonly idempotencyKey: string | null;
  readonly digest: string | null;
  /** As the sender wrote it. */
  readonly issuedAt: string | null;
  readonly outcome: 'accepted' | 'rejected';
  /** Null when accepted. */
  readonly reason: RestoreCommandRejection | null;
  readonly detail: string | null;
  readonly decidedAt: Date;
}

/** Restore commands as they are stored. Only for the record and for idempotency: nothing is ever carried out from here. */
export class RestoreCommandRepository {
  /** Whether the message was decided before. */
  async isDecided(tx: Transaction, messageId: string): Promise<boolean> {
    return (await rows(tx, 'SELECT FROM restore_command WHERE message_id = $1', [messageId])).length > 0;
  }

  /** The command that used this key first. Until the transaction ends, nobody else gets an answer to this question. */
  async lockEarlier(tx: Transaction, account: string, idempotencyKey: string): Promise<{ digest: string } | null> {
    await rows(tx, 'SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`restore-command:${account}:${idempotencyKey}`]);
    const [earlier] = await rows<{ digest: string }>(
      tx,
      `SELECT digest FROM restore_command
        WHERE account = $1 AND idempotency_key = $2 AND digest IS NOT NULL AND reason IS DISTINCT FROM 'IDEMPOTENCY_KEY_REUSED'`,
      [account, idempotencyKey],
    );
    return earlier ?? null;
  }

  /** Records what was decided, and takes a few of those along that are too old to be kept. */
  async record(tx: Transaction, command: RecordedCommand): Promise<void> {
    await rows(
      tx,
      `INSERT INTO restore_command
        (message_id, account, command_id, idempotency_key, digest, issued_at, outcome, reason, detail, decided_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
      [
        command.messageId,
        command.signedBy,
        command.commandId,
        command.idempotencyKey,
        command.digest,
        command.issuedAt,
        command.outcome,
        command.reason,
        command.detail,
        command.decidedAt,
      ],
    );
    await rows(
      tx,
      `DELETE FROM restore_command WHERE message_id IN
         (SELECT message_id FROM restore_command WHERE decided_at < $1 ORDER BY decided_at LIMIT ${PRUNE_BATCH} FOR UPDATE SKIP LOCKED)`,
      [new Date(command.decidedAt.getTime() - KEEP_MS)],
    );
  }
}
