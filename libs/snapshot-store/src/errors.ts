/** Errors of the snapshot store. `code` is stable; messages say what to do and name objects, never content or keys. */
export abstract class SnapshotStoreError extends Error {
  abstract readonly code: string;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The store cannot be asked at present (network, 5xx, throttling, disk). The same call may succeed later. */
export class StoreUnavailableError extends SnapshotStoreError {
  readonly code = 'STORE.UNAVAILABLE';
}

/** The store refuses (credentials, missing bucket, missing right). Repeating the call changes nothing. */
export class StoreRefusedError extends SnapshotStoreError {
  readonly code = 'STORE.REFUSED';
}

/** The store has no space left. */
export class StoreFullError extends SnapshotStoreError {
  readonly code = 'STORE.FULL';
}

/** An object that must be there is not. */
export class ObjectMissingError extends SnapshotStoreError {
  readonly code = 'STORE.OBJECT_MISSING';

  constructor(readonly key: string) {
    super(`The store has no object ${key}. What names it cannot be read any more.`);
  }
}

/** An object is not what was stored: cut, changed, moved from another place, or sealed under another key. */
export class ObjectDamagedError extends SnapshotStoreError {
  readonly code = 'STORE.OBJECT_DAMAGED';

  constructor(
    readonly key: string,
    readonly detail: string,
  ) {
    super(`The object ${key} is not what was stored there: ${detail}.`);
  }
}

/** An object was written by a release that this one does not understand. */
export class FormatUnknownError extends SnapshotStoreError {
  readonly code = 'STORE.FORMAT_UNKNOWN';

  constructor(
    readonly key: string,
    readonly found: string,
  ) {
    super(`The object ${key} has the format ${found}, which this release does not read. Use the release that wrote it, or a newer one.`);
  }
}

/** A file of the source changed in a way that a consistent copy does not allow. */
export class SourceChangedError extends SnapshotStoreError {
  readonly code = 'STORE.SOURCE_CHANGED';

  constructor(
    readonly path: string,
    readonly detail: string,
  ) {
    super(`The file ${path} ${detail} while it was copied. The snapshot is given up; take it again.`);
  }
}

/** A file of the source cannot be read. */
export class SourceUnreadableError extends SnapshotStoreError {
  readonly code = 'STORE.SOURCE_UNREADABLE';
}

/** The target of a restore cannot be written. */
export class TargetUnwritableError extends SnapshotStoreError {
  readonly code = 'STORE.TARGET_UNWRITABLE';
}

/** More files than a snapshot may have. */
export class TooManyFilesError extends SnapshotStoreError {
  readonly code = 'STORE.TOO_MANY_FILES';

  constructor(
    readonly files: number,
    readonly limit: number,
  ) {
    super(`The member has ${files} files; a snapshot may have ${limit}. Spread its collections over more shards or drop unused indexes.`);
  }
}

/** A path that leaves the folder it belongs to, or that cannot be written down. */
export class PathRefusedError extends SnapshotStoreError {
  readonly code = 'STORE.PATH_REFUSED';

  constructor(path: string) {
    super(`${JSON.stringify(path.slice(0, 200))} is not a relative path inside the snapshot.`);
  }
}

/** The caller ended the work. Nothing of it counts. */
export class SnapshotCancelledError extends SnapshotStoreError {
  readonly code = 'STORE.CANCELLED';

  constructor() {
    super('The snapshot was cancelled.');
  }
}

/** Somebody else holds what this work needs alone, or took it over because this process was silent for too long. */
export class LeaseLostError extends SnapshotStoreError {
  readonly code = 'STORE.LEASE_LOST';
}
