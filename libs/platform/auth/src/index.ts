export { SealBrokenError, SealingKeys, SealingKeysError, SealingKeyUnknownError } from './sealing-keys.js';
