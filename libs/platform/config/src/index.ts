export { compileConfig, type Compiled, type ConfigFields } from './compile-config.js';
export { ConfigError, type ConfigProblem } from './config-error.js';
export { describeConfig } from './describe-config.js';
export {
  duration,
  flag,
  integer,
  oneOf,
  optional,
  secret,
  text,
  url,
  type ConfigField,
  type DurationBound,
  type FieldOptions,
} from './fields.js';
export { Secret } from './secret.js';
export { durationSchema, loadYaml } from './load-yaml.js';
