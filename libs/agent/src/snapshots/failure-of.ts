import type { BackupFailure } from '@atrest/contracts';
import { redactText } from '@atrest/platform-logging';
import {
  FormatUnknownError,
  LeaseLostError,
  ObjectDamagedError,
  ObjectMissingError,
  PathRefusedError,
  SnapshotCancelledError,
  SourceChangedError,
  SourceUnreadableError,
  StoreFullError,
  StoreRefusedError,
  StoreUnavailableError,
  TooManyFilesError,
} from '@atrest/snapshot-store';
import { SealedForOthersError } from '../sealing-key.js';
import { BackupError, failure } from './backup-error.js';

/** What an error means for whoever ordered the work. Pure; what nobody thought of is `INTERNAL`. */
export function failureOf(error: unknown): BackupFailure {
  const message = redactText(error instanceof Error ? error.message : String(error));
  if (error instanceof BackupError) return failure(error.code, message);
  if (error instanceof SnapshotCancelledError) return failure('CANCELLED', message);
  if (error instanceof TooManyFilesError) return failure('TOO_MANY_FILES', message);
  if (error instanceof SourceChangedError) return failure('SOURCE_CHANGED', message);
  if (error instanceof SourceUnreadableError) return failure(isRefusal(error) ? 'SOURCE_ACCESS_DENIED' : 'SOURCE_CHANGED', message);
  if (error instanceof StoreFullError) return failure('STORE_FULL', message);
  if (error instanceof StoreRefusedError) return failure('STORE_REFUSED', message);
  // The lease is lost to a collector or to a store that was away: the next attempt finds neither.
  if (error instanceof StoreUnavailableError || error instanceof LeaseLostError) return failure('STORE_UNAVAILABLE', message);
  if (error instanceof ObjectMissingError) return failure(isManifest(error.key) ? 'SNAPSHOT_MISSING' : 'STORE_DAMAGED', message);
  if (error instanceof ObjectDamagedError || error instanceof FormatUnknownError) return failure('STORE_DAMAGED', message);
  if (error instanceof SealedForOthersError) {
    return failure('KEY_CHANGED', `${message} The host has a new key by now; order the work again.`);
  }
  if (error instanceof PathRefusedError) return failure('INTERNAL', message);
  if (codeOf(error) === 'ENOSPC' || codeOf(error) === 'EDQUOT') {
    return failure('SOURCE_DISK_FULL', `The host has no space left for the agent's own notes: ${message}`);
  }
  return failure('INTERNAL', message);
}

const isManifest = (key: string): boolean => /\/manifests\/[0-9a-f]{24}$/.test(key);
const codeOf = (error: unknown): unknown => (typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined);
const isRefusal = (error: Error): boolean => ['EACCES', 'EPERM'].includes(String(codeOf(error.cause)));
