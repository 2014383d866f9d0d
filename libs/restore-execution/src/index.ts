export { createRestoreExecutionService, restoreExecutionMigrations, type RestoreExecutionOptions } from './restore-execution.service.js';
