import { Long, Timestamp } from 'bson';
import { type Doc, isDocument, numberOf } from '../bson-values.js';

/** A position in the history of a replica set: time of the oplog entry and term in which it was written. */
export interface OpTime {
  ts: Timestamp;
  t: number;
}

export const NO_OP_TIME: OpTime = { ts: new Timestamp({ t: 0, i: 0 }), t: -1 };

/** Negative when `a` is older than `b`. The term decides before the time, as in mongod. */
export function compareOpTimes(a: OpTime, b: OpTime): number {
  return a.t !== b.t ? a.t - b.t : a.ts.compare(b.ts);
}

export function opTimeDocument(opTime: OpTime): Doc {
  return { ts: opTime.ts, t: Long.fromNumber(opTime.t) };
}

/** Reads an optime from a document or an oplog entry. */
export function opTimeFrom(value: unknown): OpTime {
  if (!isDocument(value)) return NO_OP_TIME;
  const ts = value['ts'];
  return ts instanceof Timestamp ? { ts, t: numberOf(value['t']) ?? -1 } : NO_OP_TIME;
}

/** Seconds of an optime as a date, as `optimeDate` shows it. */
export function opTimeDate(opTime: OpTime): Date {
  return new Date(opTime.ts.getHighBitsUnsigned() * 1000);
}

/** Hands out times that only grow, and learns of later ones from other servers. */
export class LogicalClock {
  #last = new Timestamp({ t: 0, i: 0 });

  get now(): Timestamp {
    return this.#last;
  }

  next(): Timestamp {
    const seconds = Math.floor(Date.now() / 1000);
    const last = this.#last.getHighBitsUnsigned();
    this.#last = new Timestamp(seconds > last ? { t: seconds, i: 1 } : { t: last, i: this.#last.getLowBitsUnsigned() + 1 });
    return this.#last;
  }

  /** Takes over a time seen elsewhere when it is later than ours. */
  advance(ts: unknown): void {
    if (ts instanceof Timestamp && ts.greaterThan(this.#last)) this.#last = ts;
  }
}
