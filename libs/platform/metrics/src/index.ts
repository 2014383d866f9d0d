export { Metrics, type MetricsOptions } from './metrics.js';
