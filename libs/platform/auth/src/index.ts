export { accessConsumes, accessHandlers } from './access-projection.js';
export { accessMigrations, AccessStore, type AccountLookup } from './access-store.js';
export { ACCESS_TOKEN_ALGORITHM, ACCESS_TOKEN_AUDIENCE, ACCESS_TOKEN_SECONDS, ACCESS_TOKEN_TYPE } from './access-token.js';
export { callerOf, type Caller } from './caller.js';
export { decideOrganisationAccess, decideProjectAccess, implies, type ProjectReference } from './role-implication.js';
export { SealBrokenError, SealingKeys, SealingKeysError, SealingKeyUnknownError } from './sealing-keys.js';
export { PROJECTION_WAIT_MS, TokenVerifier, type SignatureVerdict, type TokenRefusal, type TokenVerdict } from './token-verifier.js';
