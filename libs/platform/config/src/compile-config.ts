import { ConfigError, type ConfigProblem } from './config-error.js';
import { RefusedValue, type ConfigField } from './fields.js';

/** The settings of one program, by the name under which the code knows them. */
export type ConfigFields = Readonly<Record<string, ConfigField<unknown>>>;

/** The values of {@link ConfigFields}. */
export type Compiled<S extends ConfigFields> = { readonly [Name in keyof S]: S[Name] extends ConfigField<infer T> ? T : never };

/** `checkInterval` is read from `CHECK_INTERVAL`; a field may name another variable. */
export function variableOf(name: string, field: ConfigField<unknown>): string {
  return field.variable ?? name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();
}

/**
 * Reads every setting once, at start. Nothing reads the environment afterwards, so what was checked is what is used.
 *
 * @throws ConfigError naming every variable that is missing or wrong, and its rule, never a value
 */
export function compileConfig<S extends ConfigFields>(fields: S, env: Record<string, string | undefined>): Compiled<S> {
  const problems: ConfigProblem[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(fields)) {
    const variable = variableOf(name, field);
    const given = env[variable];
    if (given === undefined) {
      if (field.required) problems.push({ variable, rule: `is not set. Set it to ${field.rule}. ${field.description}` });
      else values[name] = field.absent();
    } else if (given === '') {
      problems.push({ variable, rule: `is empty. Set it to ${field.rule}${field.required ? '' : `, or remove it${defaultHint(field)}`}.` });
    } else {
      try {
        values[name] = field.parse(given);
      } catch (error) {
        if (!(error instanceof RefusedValue)) throw error;
        problems.push({
          variable,
          rule: `must be ${field.rule}${field.required ? '. Correct it.' : `. Correct it, or remove it${defaultHint(field)}.`}`,
        });
      }
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze(values) as Compiled<S>;
}

function defaultHint(field: ConfigField<unknown>): string {
  return field.defaultText === undefined ? '' : ` to use the default (${field.defaultText})`;
}
