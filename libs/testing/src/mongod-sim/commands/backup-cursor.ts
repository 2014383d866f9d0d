import { UUID } from 'bson';
import { join } from 'node:path';
import { type Doc, isDocument } from '../bson-values.js';
import { opTimeDocument, opTimeFrom } from '../replication/op-time.js';
import type { Backup, MongodServer } from '../server.js';
import { KEY_DATABASE } from '../storage/key-database.js';
import { CommandError } from './command-error.js';
import type { CursorSource } from './cursors.js';
import { ListSource } from './cursors.js';

const CONTEXT = 'conn';

/** The documents of one backup cursor. It is tailable: at its end it answers empty batches, which keep it alive. */
class BackupSource implements CursorSource {
  readonly tailable = true;
  readonly exhausted = false;
  readonly #list: ListSource;

  constructor(
    documents: Doc[],
    readonly close: () => void,
  ) {
    this.#list = new ListSource(documents);
  }

  take(limit: number): Doc[] {
    return this.#list.take(limit);
  }
}

/**
 * `$backupCursor`: while one is open, the files of the last checkpoint stay as they are and the journal only grows. One at a time. It is open until it
 * is killed: the end of the connection that opened it changes nothing.
 */
export class BackupCursors implements Backup {
  readonly #server: MongodServer;
  #open: UUID | undefined;

  constructor(server: MongodServer) {
    this.#server = server;
  }

  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  open(): CursorSource {
    const { engine, fsyncLock, log, options } = this.#server;
    if (fsyncLock.locked) throw new CommandError(50887, 'The node is currently fsyncLocked.');
    if (this.isOpen) throw new CommandError(50886, 'The existing backup cursor must be closed before $backupCursor can succeed.');
    if (options.encryption !== undefined) {
      // The recorded server looks for the log of the database keys where it is not.
      const file = join(options.dbPath, KEY_DATABASE, 'journal', 'WiredTigerLog.0000000001');
      throw new CommandError(31403, `Failed to get a file's size. Filename: ${file} Error: No such file or directory`);
    }
    const backupId = new UUID();
    const files = engine.beginBackup();
    this.#open = backupId;
    log.info(CONTEXT, 'STORAGE', 29093, 'Opened backup cursor', { backupId: { uuid: { $uuid: backupId.toString() } } });
    const { first, last } = engine.oplog;
    const metadata = {
      backupId,
      dbpath: options.dbPath,
      ...(first === undefined || last === undefined
        ? {}
        : { oplogStart: opTimeDocument(opTimeFrom(first)), oplogEnd: opTimeDocument(opTimeFrom(last)) }),
      ...(engine.checkpointTimestamp === undefined ? {} : { checkpointTimestamp: engine.checkpointTimestamp }),
    };
    return new BackupSource([{ metadata }, ...files.map(({ filename, fileSize }) => ({ filename, fileSize }))], () => {
      this.#open = undefined;
      engine.endBackup();
      log.info(CONTEXT, 'STORAGE', 29092, 'Closed backup cursor', { backupId: { uuid: { $uuid: backupId.toString() } } });
    });
  }

  /** `$backupCursorExtend`: the journal files, also those that were listed before, as soon as they reach the timestamp. */
  async extend(operand: unknown): Promise<CursorSource> {
    const { engine, replication } = this.#server;
    const asked = isDocument(operand) ? operand : {};
    const id = asked['backupId'];
    if (this.#open === undefined) throw new CommandError(51011, 'Cannot extend backup cursor, backup cursor is not open');
    if (!(id instanceof UUID) || !id.equals(this.#open))
      throw new CommandError(51011, 'Cannot extend backup cursor, backupId was not found.');
    await replication?.awaitTime(asked['timestamp']);
    await engine.sync();
    return new ListSource(engine.journalFiles().map((filename) => ({ filename })));
  }
}
