import { readFile } from 'node:fs/promises';
import { LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { ConfigError, type ConfigProblem } from './config-error.js';
import { durationShape, RefusedValue, type DurationBound } from './fields.js';

/**
 * A duration inside a YAML file, in the same form as in the environment; the parsed value is in milliseconds. `interval: 60` is refused,
 * because it has no unit.
 */
export function durationSchema(bounds: { readonly min: DurationBound; readonly max: DurationBound }): z.ZodType<number, string> {
  const shape = durationShape(bounds);
  return z.string({ error: `must be ${shape.rule}` }).transform((value, context) => {
    try {
      return shape.parse(value);
    } catch (error) {
      if (!(error instanceof RefusedValue)) throw error;
      context.addIssue({ code: 'custom', message: `must be ${shape.rule}` });
      return z.NEVER;
    }
  });
}

/**
 * Reads a YAML 1.2 file. Duplicate keys, unknown tags, a second document, keys that the schema does not know and wrong types are refused.
 * The schema must keep the names of its objects' keys, since a key that is missing in its result counts as unknown.
 *
 * @throws ConfigError naming the file and the path inside it, never a value
 */
export async function loadYaml<T>(file: string, schema: z.ZodType<T>): Promise<T> {
  const input = parse(file, await read(file));
  const result = schema.safeParse(input);
  if (!result.success) throw new ConfigError(result.error.issues.flatMap((issue) => describeIssue(file, issue)));
  const unknown = unknownPaths(input, result.data, []);
  if (unknown.length > 0) throw new ConfigError(unknown.map((path) => unknownKey(file, path)));
  return result.data;
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    throw new ConfigError([
      { variable: file, rule: `cannot be read (${code}). Check that the file exists and that this user may read it.` },
    ]);
  }
}

function parse(file: string, source: string): unknown {
  const lineCounter = new LineCounter();
  // Pretty errors quote the line, and the line may hold a secret.
  const document = parseDocument(source, { uniqueKeys: true, prettyErrors: false, lineCounter, stringKeys: true });
  const problems = [...document.errors, ...document.warnings].map(({ code, pos }): ConfigProblem => {
    const { line, col } = lineCounter.linePos(pos[0]);
    const rule = code === 'DUPLICATE_KEY' ? 'has a key twice. Keep one of them.' : `is not valid YAML (${code}). Correct the line.`;
    return { variable: `${file}:${line}:${col}`, rule };
  });
  if (problems.length > 0) throw new ConfigError(problems);
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch {
    throw new ConfigError([{ variable: file, rule: 'uses aliases that cannot be resolved or that grow too large. Write the values out.' }]);
  }
}

type Path = readonly PropertyKey[];

function describeIssue(file: string, issue: z.core.$ZodIssue): ConfigProblem[] {
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(file, [...issue.path, key]));
  return [{ variable: at(file, issue.path), rule: issue.code === 'invalid_type' ? typeRule(issue) : lowerFirst(issue.message) }];
}

function typeRule(issue: z.core.$ZodIssueInvalidType): string {
  if (!issue.message.startsWith('Invalid input')) return lowerFirst(issue.message);
  const missing = issue.input === undefined && issue.message.endsWith('received undefined');
  return missing
    ? `is missing. Add it (${issue.expected}).`
    : `must be of type ${issue.expected}. Write it so${issue.expected === 'number' ? ', without quotes and without a unit' : ''}.`;
}

function unknownKey(file: string, path: Path): ConfigProblem {
  return { variable: at(file, path), rule: 'is not a known setting. Remove it or correct its name.' };
}

/** Keys of the input that the schema dropped. */
function unknownPaths(input: unknown, output: unknown, path: Path): Path[] {
  if (Array.isArray(input) && Array.isArray(output))
    return input.flatMap((item, index) => unknownPaths(item, output[index], [...path, index]));
  if (!isObject(input) || !isObject(output)) return [];
  return Object.keys(input).flatMap((key) =>
    Object.hasOwn(output, key) ? unknownPaths(input[key], output[key], [...path, key]) : [[...path, key]],
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function at(file: string, path: Path): string {
  const steps = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`)).join('');
  return `${file}: ${steps === '' ? 'the whole file' : steps.replace(/^\./, '')}`;
}

const lowerFirst = (message: string): string => message.charAt(0).toLowerCase() + message.slice(1);
