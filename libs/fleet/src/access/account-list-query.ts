import { pageQuery, queryFlag } from '@atrest/platform-http';
import { z } from 'zod';

/** Query of the lists of service accounts. Atrest has no accounts of its own making, so `includeSystemManaged` changes nothing. */
export const AccountListQuerySchema = z.object({ ...pageQuery, includeSystemManaged: queryFlag().default(false) });
export type AccountListQuery = z.infer<typeof AccountListQuerySchema>;
