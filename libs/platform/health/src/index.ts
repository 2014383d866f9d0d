export { healthModule, type HealthModuleOptions } from './health.module.js';
export { runChecks, type CheckResult, type Health, type ReadinessCheck } from './readiness.js';
