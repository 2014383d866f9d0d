import { randomUUID } from 'node:crypto';
import { newObjectId, type NotificationState } from '@atrest/contracts';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { MailContent } from '../mail/mail-content.js';
import type { DeliveryStatus, Recipient, Settlement } from './delivery-policy.js';

export interface NewNotification {
  readonly cause: string;
  readonly kind: NotificationState['kind'];
  readonly projectId: string | null;
  readonly alertId: string | null;
  readonly content: MailContent;
  readonly recipients: readonly string[];
  readonly forOperators: boolean;
}

export interface Notification {
  readonly id: string;
  readonly cause: string;
  readonly kind: NotificationState['kind'];
  readonly projectId: string | null;
  readonly alertId: string | null;
  readonly content: MailContent;
  readonly forOperators: boolean;
  readonly status: DeliveryStatus;
  /** Begun, this one included. */
  readonly attempts: number;
  readonly createdAt: Date;
  readonly sentAt: Date | null;
  readonly recipients: readonly Recipient[];
}

/** A notification that this process alone may send until the lease ends. */
export interface ClaimedNotification extends Notification {
  readonly leaseToken: string;
}

interface Row {
  readonly id: string;
  readonly position: number;
  readonly cause: string;
  readonly kind: NotificationState['kind'];
  readonly project_id: string | null;
  readonly alert_id: string | null;
  readonly content: MailContent;
  readonly for_operators: boolean;
  readonly status: DeliveryStatus;
  readonly attempts: number;
  readonly created_at: Date;
  readonly sent_at: Date | null;
  readonly lease_token: string | null;
}

const COLUMNS =
  'id, position, cause, kind, project_id, alert_id, content, for_operators, status, attempts, created_at, sent_at, lease_token';

export class NotificationRepository {
  constructor(private readonly database: ServiceDatabase) {}

  /** Null when a notification of the same cause exists. One without recipients is FAILED from the start. */
  async add(tx: Transaction, notification: NewNotification, now: Date): Promise<Notification | null> {
    const status: DeliveryStatus = notification.recipients.length === 0 ? 'FAILED' : 'PENDING';
    const added = await rows<Row>(
      tx,
      `INSERT INTO notification (id, cause, kind, project_id, alert_id, subject, content, for_operators, status, next_attempt_at, created_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10) ON CONFLICT (cause) DO NOTHING RETURNING ${COLUMNS}`,
      [
        newObjectId(now),
        notification.cause,
        notification.kind,
        notification.projectId,
        notification.alertId,
        notification.content.subject,
        JSON.stringify(notification.content),
        notification.forOperators,
        status,
        now,
      ],
    );
    const row = added[0];
    if (row === undefined) return null;
    for (const address of notification.recipients) {
      await rows(tx, `INSERT INTO notification_recipient (notification_id, address, status, updated_at) VALUES ($1, $2, 'PENDING', $3)`, [
        row.id,
        address,
        now,
      ]);
    }
    return fromRow(
      row,
      notification.recipients.map((address) => ({ address, status: 'PENDING', answer: null })),
    );
  }

  /** Takes up to `limit` due notifications for `leaseMs`, in the order in which they were made; those that another replica holds are skipped. */
  async claim(now: Date, leaseMs: number, limit: number): Promise<ClaimedNotification[]> {
    return this.database.transaction(async (tx) => {
      const token = randomUUID();
      const claimed = await rows<Row>(
        tx,
        `UPDATE notification SET attempts = attempts + 1, lease_token = $1, lease_until = $2 WHERE id IN (
           SELECT id FROM notification WHERE status = 'PENDING' AND next_attempt_at <= $3 AND (lease_until IS NULL OR lease_until <= $3)
           ORDER BY next_attempt_at, position LIMIT $4 FOR UPDATE SKIP LOCKED)
         RETURNING ${COLUMNS}`,
        [token, new Date(now.getTime() + leaseMs), now, limit],
      );
      const found = await recipientsOf(
        tx,
        claimed.map(({ id }) => id),
      );
      return claimed
        .toSorted((a, b) => a.position - b.position)
        .map((row) => ({ ...fromRow(row, found.get(row.id) ?? []), leaseToken: token }));
    });
  }

  /** Claims again what was claimed with this token and is not settled yet. */
  async renew(leaseToken: string, until: Date): Promise<void> {
    await this.database.query(`UPDATE notification SET lease_until = $2 WHERE lease_token = $1 AND status = 'PENDING'`, [
      leaseToken,
      until,
    ]);
  }

  /** `lease-lost`: somebody else has claimed it since, and decides. */
  async settle(tx: Transaction, notification: ClaimedNotification, settlement: Settlement, now: Date): Promise<'settled' | 'lease-lost'> {
    const problem = settlement.recipients.find(({ answer }) => answer !== null)?.answer ?? null;
    const written = await rows(
      tx,
      `UPDATE notification SET status = $1, next_attempt_at = COALESCE($2, next_attempt_at), sent_at = $3, last_problem = $4,
         lease_token = NULL, lease_until = NULL
       WHERE id = $5 AND status = 'PENDING' AND lease_token = $6 RETURNING id`,
      [
        settlement.status,
        settlement.status === 'PENDING' ? settlement.nextAttemptAt : null,
        settlement.status === 'SENT' ? now : null,
        problem,
        notification.id,
        notification.leaseToken,
      ],
    );
    if (written.length === 0) return 'lease-lost';
    for (const { address, status, answer } of settlement.recipients) {
      await rows(
        tx,
        `UPDATE notification_recipient SET status = $1, answer = $2, updated_at = $3
         WHERE notification_id = $4 AND address = $5 AND status = 'PENDING'`,
        [status, answer, now, notification.id, address],
      );
    }
    return 'settled';
  }

  /** When the next pending notification is due; null when none is pending. */
  async nextDueAt(): Promise<Date | null> {
    const found = await this.database.query<{ due: Date | null }>(
      `SELECT min(GREATEST(next_attempt_at, COALESCE(lease_until, next_attempt_at))) AS due FROM notification WHERE status = 'PENDING'`,
    );
    return found[0]?.due ?? null;
  }

  async list(): Promise<Notification[]> {
    return this.database.transaction(async (tx) => {
      const found = await rows<Row>(tx, `SELECT ${COLUMNS} FROM notification ORDER BY position`);
      const recipients = await recipientsOf(
        tx,
        found.map(({ id }) => id),
      );
      return found.map((row) => fromRow(row, recipients.get(row.id) ?? []));
    });
  }

  /** Whether this cause may be told now: true at most once per `pauseMs`. */
  async mayTell(tx: Transaction, cause: string, now: Date, pauseMs: number): Promise<boolean> {
    const written = await rows(
      tx,
      `INSERT INTO notification_pause (cause, told_at) VALUES ($1, $2)
       ON CONFLICT (cause) DO UPDATE SET told_at = EXCLUDED.told_at WHERE notification_pause.told_at <= $3 RETURNING cause`,
      [cause, now, new Date(now.getTime() - pauseMs)],
    );
    return written.length === 1;
  }
}

async function recipientsOf(tx: Transaction, ids: readonly string[]): Promise<Map<string, Recipient[]>> {
  const found = await rows<Recipient & { notification_id: string }>(
    tx,
    'SELECT notification_id, address, status, answer FROM notification_recipient WHERE notification_id = ANY($1) ORDER BY address',
    [ids],
  );
  return Map.groupBy(found, (row) => row.notification_id);
}

function fromRow(row: Row, recipients: readonly Recipient[]): Notification {
  return {
    id: row.id,
    cause: row.cause,
    kind: row.kind,
    projectId: row.project_id,
    alertId: row.alert_id,
    content: row.content,
    forOperators: row.for_operators,
    status: row.status,
    attempts: row.attempts,
    createdAt: row.created_at,
    sentAt: row.sent_at,
    recipients: recipients.map(({ address, status, answer }) => ({ address, status, answer })),
  };
}
