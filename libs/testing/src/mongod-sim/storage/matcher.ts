import { BSONRegExp } from 'bson';
import { CommandError } from '../commands/command-error.js';
import { type Doc, isDocument, numberOf, truthy } from '../bson-values.js';
import { comparable, compareValues } from './compare.js';

/** The values at a dotted path; arrays on the way are looked into, as MongoDB does. */
export function valuesAt(document: unknown, path: string): unknown[] {
  const walk = (value: unknown, names: string[]): unknown[] => {
    const [name, ...rest] = names;
    if (name === undefined) return [value];
    if (Array.isArray(value)) {
      const direct = /^\d+$/.test(name) ? walk(value[Number(name)], rest) : [];
      return [...direct, ...value.filter(isDocument).flatMap((item) => walk(item, names))];
    }
    return isDocument(value) && Object.hasOwn(value, name) ? walk(value[name], rest) : [];
  };
  return walk(document, path.split('.'));
}

function spread(values: unknown[]): unknown[] {
  return values.flatMap((value) => (Array.isArray(value) ? [value, ...(value as unknown[])] : [value]));
}

function matchesPattern(value: unknown, pattern: BSONRegExp): boolean {
  if (typeof value !== 'string') return false;
  return new RegExp(pattern.pattern, pattern.options.replace(/[^ims]/g, '')).test(value);
}

function equalsAny(values: unknown[], wanted: unknown): boolean {
  if (wanted instanceof BSONRegExp) return values.some((value) => matchesPattern(value, wanted));
  if (wanted === null || wanted === undefined) return values.length === 0 || values.some((value) => value === null || value === undefined);
  return values.some((value) => compareValues(value, wanted) === 0);
}

function compares(values: unknown[], wanted: unknown, holds: (order: number) => boolean): boolean {
  return values.some((value) => comparable(value, wanted) && holds(compareValues(value, wanted)));
}

function matchesOperator(found: unknown[], operator: string, operand: unknown, siblings: Doc): boolean {
  const values = spread(found);
  switch (operator) {
    case '$eq':
      return equalsAny(values, operand);
    case '$ne':
      return !equalsAny(values, operand);
    case '$gt':
      return compares(values, operand, (order) => order > 0);
    case '$gte':
      return compares(values, operand, (order) => order >= 0);
    case '$lt':
      return compares(values, operand, (order) => order < 0);
    case '$lte':
      return compares(values, operand, (order) => order <= 0);
    case '$in':
    case '$nin': {
      if (!Array.isArray(operand)) throw new CommandError(2, `${operator} needs an array`);
      return operand.some((item) => equalsAny(values, item)) === (operator === '$in');
    }
    case '$exists':
      return found.length > 0 === truthy(operand);
    case '$not':
      return operand instanceof BSONRegExp ? !equalsAny(values, operand) : !matchesCondition(found, operand);
    case '$size':
      return found.some((value) => Array.isArray(value) && value.length === numberOf(operand));
    case '$all':
      return Array.isArray(operand) && operand.every((item) => equalsAny(values, item));
    case '$regex': {
      const options = typeof siblings['$options'] === 'string' ? siblings['$options'] : '';
      return equalsAny(values, operand instanceof BSONRegExp ? operand : new BSONRegExp(String(operand), options));
    }
    case '$options':
      return true;
    case '$elemMatch':
      return found.some(
        (value) =>
          Array.isArray(value) &&
          value.some((item) =>
            isDocument(item) && !isOperators(operand) ? matches(item, operand as Doc) : matchesCondition([item], operand),
          ),
      );
    default:
      throw new CommandError(2, `unknown operator: ${operator}`);
  }
}

function isOperators(condition: unknown): condition is Doc {
  return isDocument(condition) && Object.keys(condition).length > 0 && Object.keys(condition).every((name) => name.startsWith('$'));
}

function matchesCondition(found: unknown[], condition: unknown): boolean {
  if (!isOperators(condition)) return equalsAny(spread(found), condition);
  return Object.entries(condition).every(([operator, operand]) => matchesOperator(found, operator, operand, condition));
}

/** Tells whether a document satisfies a filter. Throws BadValue (2) for operators this stand-in does not have. */
export function matches(document: Doc, filter: Doc): boolean {
  return Object.entries(filter).every(([name, condition]) => {
    switch (name) {
      case '$and':
        return (condition as Doc[]).every((part) => matches(document, part));
      case '$or':
        return (condition as Doc[]).some((part) => matches(document, part));
      case '$nor':
        return !(condition as Doc[]).some((part) => matches(document, part));
      case '$comment':
        return true;
      case '$expr':
      case '$where':
      case '$text':
        throw new CommandError(2, `${name} is not supported by mongod-sim`);
      default:
        if (name.startsWith('$')) throw new CommandError(2, `unknown top level operator: ${name}`);
        return matchesCondition(valuesAt(document, name), condition);
    }
  });
}

/** Orders documents by a sort specification (values 1 and -1). */
export function sortDocuments(documents: Doc[], sort: Doc): Doc[] {
  const keys = Object.entries(sort).filter(([name]) => name !== '$natural');
  const natural = numberOf(sort['$natural']);
  const list = natural !== undefined && natural < 0 ? [...documents].reverse() : [...documents];
  if (keys.length === 0) return list;
  return list.sort((a, b) => {
    for (const [name, direction] of keys) {
      const order = compareValues(valuesAt(a, name)[0], valuesAt(b, name)[0]);
      if (order !== 0) return order * (numberOf(direction) ?? 1);
    }
    return 0;
  });
}

/** Keeps or removes top-level fields (`{a: 1, _id: 0}` or `{a: 0}`). */
export function project(document: Doc, projection: Doc | undefined): Doc {
  if (projection === undefined || Object.keys(projection).length === 0) return document;
  const { _id: id, ...fields } = projection;
  const names = Object.keys(fields);
  const including = names.some((name) => truthy(fields[name])) || (names.length === 0 && truthy(id));
  if (!including) return Object.fromEntries(Object.entries(document).filter(([name]) => !(name in projection)));
  const keepId = id === undefined || truthy(id);
  return Object.fromEntries(Object.entries(document).filter(([name]) => (name === '_id' ? keepId : names.includes(name))));
}
