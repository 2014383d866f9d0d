import { FolderObjectStore, S3ObjectStore, type ObjectStore } from '@atrest/snapshot-store';
import { required, type StoreConfiguration } from './configuration.js';

/** The configured store. */
export async function openStore(configuration: StoreConfiguration): Promise<ObjectStore> {
  const [, bucket, prefix] = /^s3:\/\/([^/]+)(?:\/(.*))?$/.exec(configuration.ATREST_STORE) ?? [];
  if (bucket === undefined) return FolderObjectStore.open(configuration.ATREST_STORE, new Date());
  const accessKeyId = configuration.ATREST_STORE_S3_ACCESS_KEY_ID;
  const secretAccessKey = (): string =>
    required(configuration.ATREST_STORE_S3_SECRET_ACCESS_KEY, 'ATREST_STORE_S3_SECRET_ACCESS_KEY').reveal();
  return new S3ObjectStore({
    bucket,
    prefix: prefix ?? '',
    region: configuration.ATREST_STORE_S3_REGION,
    endpoint: configuration.ATREST_STORE_S3_ENDPOINT ?? null,
    forcePathStyle: configuration.ATREST_STORE_S3_PATH_STYLE,
    credentials: accessKeyId === undefined ? null : { accessKeyId, secretAccessKey: secretAccessKey() },
  });
}
