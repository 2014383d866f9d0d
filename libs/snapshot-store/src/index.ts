export {
  FormatUnknownError,
  LeaseLostError,
  ObjectDamagedError,
  ObjectMissingError,
  PathRefusedError,
  SnapshotCancelledError,
  SnapshotStoreError,
  SourceChangedError,
  SourceUnreadableError,
  StoreFullError,
  StoreRefusedError,
  StoreUnavailableError,
  TargetUnwritableError,
  TooManyFilesError,
} from './errors.js';
export { assertObjectKey, type ObjectStore, type StoredObject, type Undeleted } from './object-store/object-store.js';
export { FolderObjectStore } from './object-store/folder-object-store.js';
export { InMemoryObjectStore } from './object-store/in-memory-object-store.js';
export { S3ObjectStore, type S3StoreSettings } from './object-store/s3-object-store.js';
export {
  beginEpoch,
  dataKeyContext,
  openEpoch,
  readEpochHeader,
  type DataKeyContext,
  type DataKeyWrapper,
  type EpochHeader,
  type EpochOwner,
  type OpenEpoch,
} from './format/epoch.js';
export { isUnsealed, NOT_ENABLED, unsealedDataKeys, type UnsealedDataKey } from './format/unsealed-data-key.js';
export { eraseEpochKeys, type EpochKeys } from './format/keys.js';
export { BLOCK_BYTES } from './format/block.js';
export { epochPrefix, manifestKey, manifestsPrefix } from './format/layout.js';
export { readManifest, readManifestLabel, type Manifest, type ManifestLabel } from './format/manifest.js';
export { type FileEntry, type FileSegment } from './format/file-list.js';
export { readFileList } from './read/file-list-reader.js';
export { restoreFiles, type RestoreFilesOptions } from './read/restore-files.js';
export {
  MAX_PROBLEMS,
  proveEncrypted,
  verifySnapshot,
  type EncryptionProof,
  type Verification,
  type VerifyOptions,
} from './read/verify-snapshot.js';
export { MAX_FILES, writeSnapshot, type SnapshotProgress, type WriteSnapshotOptions } from './write/write-snapshot.js';
export { type SourceFile } from './write/source-file.js';
export { collectEpoch, type CollectOptions, type Collection } from './collect/collect-epoch.js';
export { deleteEpoch, type DeleteEpochOptions, type EpochDeletion } from './collect/delete-epoch.js';
export { DEFAULT_LEASE_TIMES, type LeaseTimes } from './collect/leases.js';
