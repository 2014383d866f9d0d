import { DurationError, formatDuration, parseDuration } from '@atrest/platform-time';
import { Secret } from './secret.js';

/** A text that a field refuses. Carries nothing: the field's rule says what would have been right. */
export class RefusedValue extends Error {}

/** One setting, read from one environment variable. */
export interface ConfigField<T> {
  /** One sentence for the generated reference. */
  readonly description: string;
  /** The variable, when it is not the upper-case form of the field's name. */
  readonly variable: string | undefined;
  /** What a value must be, as the continuation of 'must be …'. */
  readonly rule: string;
  /** What is used when the variable is not set, as one would write it; undefined when nothing is. */
  readonly defaultText: string | undefined;
  /** Whether the program cannot start without it. */
  readonly required: boolean;
  /** The value when the variable is not set; only called when it is not required. */
  absent(): T;
  /**
   * The value of a set variable.
   *
   * @throws RefusedValue
   */
  parse(text: string): T;
}

/** What every field builder takes. */
export interface FieldOptions {
  readonly description: string;
  readonly variable?: string;
}

interface Shape<T> {
  readonly rule: string;
  readonly parse: (text: string) => T;
  /** How a default is written in the reference. */
  readonly write: (value: T) => string;
}

function field<T>(options: FieldOptions & { readonly default?: T }, shape: Shape<T>): ConfigField<T> {
  const fallback = options.default;
  const defaultText = fallback === undefined ? undefined : shape.write(fallback);
  // A default has to obey its own rule; otherwise the reference would show a value that is refused.
  if (defaultText !== undefined && defaultText !== '' && !obeys(shape, defaultText)) {
    throw new Error(`The default of a setting breaks its own rule: ${shape.rule}`);
  }
  return {
    description: options.description,
    variable: options.variable,
    rule: shape.rule,
    defaultText,
    required: fallback === undefined,
    absent: () => fallback as T,
    parse: shape.parse,
  };
}

function obeys<T>(shape: Shape<T>, value: string): boolean {
  try {
    shape.parse(value);
    return true;
  } catch (error) {
    if (error instanceof RefusedValue) return false;
    throw error;
  }
}

/** Blanks around a value come from quoting and from files that end with a new line; they are never meant. */
function withoutOuterBlanks(text: string): string {
  if (text.trim() !== text) throw new RefusedValue();
  return text;
}

/** Any text that is not empty and has no blanks around it. */
export function text(options: FieldOptions & { readonly default?: string; readonly pattern?: RegExp }): ConfigField<string> {
  const { pattern } = options;
  return field(options, {
    rule: pattern ? `a text that matches ${pattern.source}` : 'a text without blanks around it',
    write: (value) => value,
    parse: (value) => {
      if (pattern && !new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, '')).test(value)) throw new RefusedValue();
      return withoutOuterBlanks(value);
    },
  });
}

/** A decimal integer within bounds: no blanks, no plus sign, no exponent, no leading zero, no hexadecimal. */
export function integer(
  options: FieldOptions & { readonly min: number; readonly max: number; readonly default?: number },
): ConfigField<number> {
  return field(options, {
    rule: `an integer from ${options.min} to ${options.max}, in decimal digits`,
    write: String,
    parse: (value) => {
      const number = Number(value);
      if (!/^(0|-?[1-9]\d*)$/.test(value) || !Number.isSafeInteger(number)) throw new RefusedValue();
      if (number < options.min || number > options.max) throw new RefusedValue();
      return number;
    },
  });
}

/** Milliseconds, or a text with a unit such as `24h`. */
export type DurationBound = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

const milliseconds = (bound: DurationBound): number => (typeof bound === 'number' ? bound : parseDuration(bound));

/** The pieces that the environment and YAML files share. */
export function durationShape(bounds: { readonly min: DurationBound; readonly max: DurationBound }): Shape<number> {
  const min = milliseconds(bounds.min);
  const max = milliseconds(bounds.max);
  return {
    rule: `a duration with a unit from ${formatDuration(min)} to ${formatDuration(max)}, such as 250ms, 60s, 15m, 24h or 7d`,
    write: formatDuration,
    parse: (value) => {
      try {
        const ms = parseDuration(value);
        if (ms >= min && ms <= max) return ms;
      } catch (error) {
        if (!(error instanceof DurationError)) throw error;
      }
      throw new RefusedValue();
    },
  };
}

/** A duration with a unit, within bounds. The compiled value is in milliseconds. */
export function duration(
  options: FieldOptions & { readonly min: DurationBound; readonly max: DurationBound; readonly default?: DurationBound },
): ConfigField<number> {
  const { default: fallback, ...rest } = options;
  return field(fallback === undefined ? rest : { ...rest, default: milliseconds(fallback) }, durationShape(options));
}

/** `true` or `false`, in these letters. */
export function flag(options: FieldOptions & { readonly default?: boolean }): ConfigField<boolean> {
  return field(options, {
    rule: 'true or false',
    write: String,
    parse: (value) => {
      if (value !== 'true' && value !== 'false') throw new RefusedValue();
      return value === 'true';
    },
  });
}

/** One of the listed words, in exactly these letters. */
export function oneOf<const T extends string>(
  values: readonly T[],
  options: FieldOptions & { readonly default?: NoInfer<T> },
): ConfigField<T> {
  return field<T>(options, {
    rule: `one of ${values.join(', ')}`,
    write: (value) => value,
    parse: (value) => {
      const found = values.find((candidate) => candidate === value);
      if (found === undefined) throw new RefusedValue();
      return found;
    },
  });
}

/** An absolute URL with one of the protocols (`https` or `https:`), kept as it was written. It may carry a password, so it is never shown either. */
export function url(options: FieldOptions & { readonly protocols: readonly string[]; readonly default?: string }): ConfigField<string> {
  const protocols = options.protocols.map((protocol) => protocol.replace(/:$/, ''));
  return field(options, {
    rule: `an absolute URL that begins with ${protocols.map((protocol) => `${protocol}://`).join(' or ')}`,
    write: (value) => value,
    parse: (value) => {
      // The URL parser drops blanks and control characters silently; a person who reads the value would not.
      if (/\s/.test(value) || !URL.canParse(value)) throw new RefusedValue();
      if (!protocols.some((protocol) => value.toLowerCase().startsWith(`${protocol}://`))) throw new RefusedValue();
      return value;
    },
  });
}

interface SecretOptions extends FieldOptions {
  readonly minLength?: number;
}

/** A value that is never shown. It has no default. */
export function secret(options: SecretOptions & { readonly optional: true }): ConfigField<Secret | undefined>;
export function secret(options: SecretOptions & { readonly optional?: false }): ConfigField<Secret>;
export function secret(options: SecretOptions & { readonly optional?: boolean }): ConfigField<Secret | undefined> {
  const minLength = options.minLength ?? 1;
  const required = field<Secret>(options, {
    rule: minLength > 1 ? `a secret of at least ${minLength} characters without blanks around it` : 'a secret without blanks around it',
    write: String,
    parse: (value) => {
      if (value.length < minLength) throw new RefusedValue();
      return new Secret(withoutOuterBlanks(value));
    },
  });
  return options.optional ? optional(required) : required;
}

/** The same field, but `undefined` when the variable is not set. */
export function optional<T>(inner: ConfigField<T>): ConfigField<T | undefined> {
  return { ...inner, required: false, absent: () => (inner.required ? undefined : inner.absent()) };
}
