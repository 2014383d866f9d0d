import type { Role } from '@atrest/contracts';

/**
 * Who may call a route. `project`: any of these roles in the project of `:groupId`; `org`: any of these in the organisation that the
 * request is about. What one role implies of another is platform-auth's matter; this package only keeps the demand.
 */
export type Access = 'public' | 'authenticated' | 'agent' | { readonly project: readonly Role[] } | { readonly org: readonly Role[] };

/** Metadata key of a handler's {@link Access}. */
export const ACCESS_METADATA = 'atrest:access';
