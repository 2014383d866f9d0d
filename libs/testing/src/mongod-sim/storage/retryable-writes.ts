import { type Doc, isDocument, numberOf } from '../bson-values.js';
import { keyOf } from './keys.js';

/** One statement of a retryable write: a driver may send it again after a failover, and it must not be done twice. */
export interface Statement {
  lsid: Doc;
  txnNumber: number;
  stmtId: number;
}

/** The statements that were carried out, learnt from the oplog, so that a new primary knows what the old one did. */
export class RetryableWrites {
  readonly #sessions = new Map<string, { txnNumber: number; done: Map<number, Doc> }>();

  /** Forgets all and learns what these entries say: those that were taken back were never done. */
  relearn(entries: readonly Doc[]): void {
    this.#sessions.clear();
    for (const entry of entries) this.learn(entry);
  }

  learn(entry: Doc): void {
    const lsid = entry['lsid'];
    const txnNumber = numberOf(entry['txnNumber']);
    const stmtId = numberOf(entry['stmtId']);
    if (!isDocument(lsid) || txnNumber === undefined || stmtId === undefined) return;
    const key = keyOf(lsid['id']);
    let session = this.#sessions.get(key);
    if (session === undefined || session.txnNumber < txnNumber) {
      session = { txnNumber, done: new Map() };
      this.#sessions.set(key, session);
    }
    if (session.txnNumber === txnNumber) session.done.set(stmtId, entry);
  }

  /** The oplog entry of a statement that was carried out before. */
  find(statement: Statement | undefined): Doc | undefined {
    if (statement === undefined) return undefined;
    const session = this.#sessions.get(keyOf(statement.lsid['id']));
    return session?.txnNumber === statement.txnNumber ? session.done.get(statement.stmtId) : undefined;
  }
}
