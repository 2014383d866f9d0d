import { CommandError, codeName } from '../commands/command-error.js';
import { type Doc } from '../bson-values.js';
import { type OpTime, compareOpTimes } from './op-time.js';
import type { WriteConcern } from './replication.js';
import { majorityOf } from './rules.js';
import type { SetState } from './set-state.js';

interface Waiter {
  opTime: OpTime;
  concern: WriteConcern;
  finish(error: Doc | undefined): void;
}

function concernError(code: number, errmsg: string, concern: WriteConcern): Doc {
  return {
    code,
    codeName: codeName(code),
    errmsg,
    errInfo: {
      ...(code === 64 ? { wtimeout: true } : {}),
      writeConcern: { w: concern.w, wtimeout: concern.wtimeoutMs, provenance: 'clientSupplied' },
    },
  };
}

/** Commands that wait until enough members have what they wrote. */
export class WriteWaiters {
  readonly #set: SetState;
  readonly #waiting = new Set<Waiter>();

  constructor(set: SetState) {
    this.#set = set;
  }

  /** Resolves to the write concern error, or to undefined when the concern is satisfied. */
  async wait(opTime: OpTime, concern: WriteConcern): Promise<Doc | undefined> {
    const set = this.#set;
    if (concern.w === 0 || (concern.w === 1 && !concern.j)) return undefined;
    const holders = set.members.filter((member) => !member.config.arbiterOnly).length;
    if (typeof concern.w === 'number' && concern.w > holders) return concernError(100, 'Not enough data-bearing nodes', concern);
    if (typeof concern.w === 'string' && concern.w !== 'majority') {
      throw new CommandError(79, `No write concern mode named '${concern.w}' found in replica set configuration`);
    }
    if (concern.j || concern.w === 'majority') {
      const target = set.lastApplied;
      await set.server.engine.sync();
      if (compareOpTimes(target, set.durable) > 0) set.durable = target;
      set.advanceCommitted();
      this.check();
    }
    // In another term the positions of the members are those of another history.
    const inOffice = set.state === 'PRIMARY' && set.term === opTime.t;
    if (inOffice && this.#satisfied(opTime, concern)) return undefined;
    if (!inOffice || !set.writable) return concernError(189, 'Primary stepped down while waiting for replication', concern);
    return new Promise((resolve) => {
      const waiter: Waiter = {
        opTime,
        concern,
        finish: (error) => {
          clearTimeout(timer);
          this.#waiting.delete(waiter);
          resolve(error);
        },
      };
      const timer =
        concern.wtimeoutMs > 0
          ? setTimeout(() => waiter.finish(concernError(64, 'waiting for replication timed out', concern)), concern.wtimeoutMs)
          : undefined;
      this.#waiting.add(waiter);
    });
  }

  /** A member has come further: some may have waited long enough. */
  check(): void {
    for (const waiter of this.#waiting) if (this.#satisfied(waiter.opTime, waiter.concern)) waiter.finish(undefined);
  }

  /** The primary is one no longer. */
  abort(): void {
    for (const waiter of this.#waiting)
      waiter.finish(concernError(189, 'Primary stepped down while waiting for replication', waiter.concern));
  }

  #satisfied(opTime: OpTime, concern: WriteConcern): boolean {
    const members = this.#set.progress();
    if (concern.w === 'majority') {
      const votes = members.filter((member) => compareOpTimes(member.durable, opTime) >= 0).reduce((sum, member) => sum + member.votes, 0);
      return votes >= majorityOf(members.reduce((sum, member) => sum + member.votes, 0));
    }
    return members.filter((member) => compareOpTimes(concern.j ? member.durable : member.applied, opTime) >= 0).length >= Number(concern.w);
  }
}
