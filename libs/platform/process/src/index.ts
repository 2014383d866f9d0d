export { runUntilSignal, type Runnable } from './run-until-signal.js';
export { withSecretFiles } from './secret-files.js';
