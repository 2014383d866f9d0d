import type { z } from 'zod';
import { ApiError, missingAttribute, type ApiErrorField } from './api-error.js';

/** A body with ten thousand wrong items does not need ten thousand sentences. */
const MAX_FIELDS = 50;

/**
 * The body as the route's schema reads it; a request without a body counts as `{}`.
 *
 * @throws ApiError 400 with the Atlas code of the first problem and all problems in `badRequestDetail`. A schema's own check may name a
 * code: `.refine(…, { params: { errorCode: 'CLUSTER_NAME_INVALID' } })`.
 */
export function parseBody(schema: z.ZodType, body: unknown): unknown {
  const result = schema.safeParse(body ?? {});
  if (result.success) return result.data;
  const problems = problemsOf(result.error.issues, body ?? {});
  const [first] = problems;
  if (!first) return failedWithoutIssue();
  const fields = problems.slice(0, MAX_FIELDS).map(({ field, description }): ApiErrorField => ({ field: field || '(body)', description }));
  if (problems.length > 1 && problems.every(({ errorCode }) => errorCode === 'MISSING_ATTRIBUTE')) {
    const names = problems.map(({ field }) => field);
    return fail(new ApiError(400, 'MISSING_ATTRIBUTES', `The required attributes ${names.join(', ')} were not specified.`, names, fields));
  }
  return fail(new ApiError(400, first.errorCode, first.detail, first.field ? [first.field] : [], fields));
}

/**
 * The query as the route's schema reads it.
 *
 * @throws ApiError 400 INVALID_QUERY_PARAMETER
 */
export function parseQuery(schema: z.ZodType, query: Readonly<Record<string, unknown>>): unknown {
  const reserved = Object.keys(query).find((name) => name === '__proto__' || name === 'constructor' || name === 'prototype');
  if (reserved !== undefined) throw invalidQueryParameter(reserved, 'is not known');
  // Served for every operation, whatever its schema knows.
  const own = Object.fromEntries(Object.entries(query).filter(([name]) => name !== 'pretty' && name !== 'envelope'));
  const result = schema.safeParse(own);
  if (result.success) return result.data;
  const problems = problemsOf(result.error.issues, own);
  const [first] = problems;
  if (!first) return failedWithoutIssue();
  const name = first.field.replace(/[.[].*$/, '');
  throw Array.isArray(own[name]) ? invalidQueryParameter(name, 'must be given once') : invalidQueryParameter(name, first.description);
}

/** 400: a query parameter is not what it must be. `why` continues the sentence 'parameter x …'. */
export function invalidQueryParameter(name: string, why: string): ApiError {
  return new ApiError(
    400,
    'INVALID_QUERY_PARAMETER',
    `Invalid query parameter ${name}: it ${why}.`,
    [name],
    [{ field: name, description: why }],
  );
}

interface Problem extends ApiErrorField {
  readonly errorCode: string;
  readonly detail: string;
}

function problemsOf(issues: readonly z.core.$ZodIssue[], input: unknown, prefix: readonly PropertyKey[] = []): Problem[] {
  return issues.flatMap((issue) => problemOf(issue, [...prefix, ...issue.path], input));
}

/** Texts never hold what was given: it may be a secret in the wrong place. */
function problemOf(issue: z.core.$ZodIssue, path: readonly PropertyKey[], input: unknown): Problem[] {
  const field = pathText(path);
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => invalid(pathText([...path, key]), 'is not known'));
    case 'invalid_value':
      return isMissing(input, path)
        ? [missing(field)]
        : [{ ...invalid(field, `must be one of ${issue.values.map(String).join(', ')}`), errorCode: 'INVALID_ENUM_VALUE' }];
    case 'invalid_type':
      if (isMissing(input, path)) return [missing(field)];
      if (path.length === 0)
        return [{ field, errorCode: 'INVALID_JSON', description: 'must be a JSON object', detail: 'The body must be a JSON object.' }];
      return [invalid(field, issue.message.startsWith('Invalid input') ? `must be of type ${issue.expected}` : lowerFirst(issue.message))];
    case 'invalid_union':
      return isMissing(input, path) ? [missing(field)] : closestBranch(issue, path, input);
    case 'custom': {
      const errorCode: unknown = issue.params?.['errorCode'];
      const problem = invalid(field, lowerFirst(issue.message));
      return [typeof errorCode === 'string' ? { ...problem, errorCode, detail: issue.message } : problem];
    }
    case 'invalid_element':
    case 'invalid_format':
    case 'invalid_key':
    case 'not_multiple_of':
    case 'too_big':
    case 'too_small':
      return [invalid(field, lowerFirst(issue.message))];
  }
}

/** Of the alternatives, the one that came closest is the one that was meant. */
function closestBranch(issue: z.core.$ZodIssueInvalidUnion, path: readonly PropertyKey[], input: unknown): Problem[] {
  const [closest] = issue.errors.map((issues) => problemsOf(issues, input, path)).toSorted((a, b) => a.length - b.length);
  return closest && closest.length > 0 ? closest : [invalid(pathText(path), 'fits none of the allowed forms')];
}

/** zod does not tell a missing attribute from a wrong one, except in its prose. */
function isMissing(input: unknown, path: readonly PropertyKey[]): boolean {
  let value = input;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return false;
    value = (value as Record<PropertyKey, unknown>)[step];
  }
  return value === undefined;
}

function missing(field: string): Problem {
  const { errorCode, detail } = missingAttribute(field);
  return { field, errorCode, detail, description: 'is required' };
}

function invalid(field: string, description: string): Problem {
  return { field, errorCode: 'INVALID_ATTRIBUTE', description, detail: `Invalid attribute ${field}: ${description}.` };
}

function pathText(path: readonly PropertyKey[]): string {
  return path.map((step, index) => (typeof step === 'number' ? `[${step}]` : `${index === 0 ? '' : '.'}${String(step)}`)).join('');
}

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);

function fail(error: ApiError): never {
  throw error;
}

function failedWithoutIssue(): never {
  throw new ApiError(400, 'VALIDATION_ERROR', 'The request is not valid.');
}
