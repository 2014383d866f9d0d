import { Double, Int32, Long, ObjectId } from 'bson';
import { CommandError } from '../commands/command-error.js';
import { type Doc, isDocument, numberOf } from '../bson-values.js';
import { compareValues } from './compare.js';

/** True for `{$set: …}`, false for a replacement document. Throws for a mixture or a pipeline. */
export function isModifier(update: unknown): boolean {
  if (Array.isArray(update)) throw new CommandError(9, 'updates by pipeline are not supported by mongod-sim');
  if (!isDocument(update)) throw new CommandError(9, 'Update argument must be either an object or an array');
  const names = Object.keys(update);
  const operators = names.filter((name) => name.startsWith('$')).length;
  if (operators > 0 && operators < names.length) throw new CommandError(9, 'Unknown modifier or mixed update document');
  return operators > 0;
}

function parentOf(target: Doc, path: string, create: boolean): { parent: Doc; name: string } | undefined {
  const names = path.split('.');
  const name = names.pop() as string;
  let parent: Doc = target;
  for (const step of names) {
    let next = parent[step];
    if (next === undefined && create) {
      next = {};
      parent[step] = next;
    }
    if (typeof next !== 'object' || next === null) return undefined;
    parent = next as Doc;
  }
  return { parent, name };
}

function add(a: unknown, b: unknown): unknown {
  const sum = (numberOf(a) ?? 0) + (numberOf(b) as number);
  if (a instanceof Double || b instanceof Double) return new Double(sum);
  if (Long.isLong(a) || Long.isLong(b)) return Long.fromNumber(sum);
  return Math.abs(sum) < 2 ** 31 ? new Int32(sum) : Long.fromNumber(sum);
}

function modify(document: Doc, operator: string, path: string, operand: unknown, inserting: boolean): void {
  const place = parentOf(document, path, operator !== '$unset' && operator !== '$pull');
  if (place === undefined) throw new CommandError(28, `Cannot create field '${path}'`);
  const { parent, name } = place;
  const before = parent[name];
  switch (operator) {
    case '$set':
      parent[name] = operand;
      return;
    case '$setOnInsert':
      if (inserting) parent[name] = operand;
      return;
    case '$unset':
      delete parent[name];
      return;
    case '$inc':
      if (numberOf(operand) === undefined || (before !== undefined && numberOf(before) === undefined)) {
        throw new CommandError(14, `Cannot apply $inc to a value of non-numeric type: '${path}'`);
      }
      parent[name] = add(before, operand);
      return;
    case '$min':
    case '$max': {
      const order = compareValues(operand, before);
      if (before === undefined || (operator === '$min' ? order < 0 : order > 0)) parent[name] = operand;
      return;
    }
    case '$currentDate':
      parent[name] = new Date();
      return;
    case '$push':
    case '$addToSet': {
      if (before !== undefined && !Array.isArray(before)) throw new CommandError(2, `The field '${path}' must be an array`);
      const list: unknown[] = [...((before as unknown[] | undefined) ?? [])];
      const added = isDocument(operand) && Array.isArray(operand['$each']) ? (operand['$each'] as unknown[]) : [operand];
      for (const item of added) {
        if (operator === '$push' || !list.some((other) => compareValues(other, item) === 0)) list.push(item);
      }
      parent[name] = list;
      return;
    }
    case '$pull':
      if (Array.isArray(before)) parent[name] = before.filter((item) => compareValues(item, operand) !== 0);
      return;
    default:
      throw new CommandError(
        9,
        `Unknown modifier: ${operator}. Expected a valid update modifier or pipeline-style update specified as an array`,
      );
  }
}

/** The document after an update; the one given is not changed. */
export function applyUpdate(document: Doc, update: Doc, inserting = false): Doc {
  const modifiers: boolean = isModifier(update);
  if (!modifiers) {
    if (update['_id'] !== undefined && document['_id'] !== undefined && compareValues(update['_id'], document['_id']) !== 0) {
      throw new CommandError(66, "After applying the update, the (immutable) field '_id' was found to have been altered");
    }
    const { _id: given, ...fields } = update;
    const id = document['_id'] ?? given;
    return id === undefined ? fields : { _id: id, ...fields };
  }
  const result = structuredCopy(document) as Doc;
  for (const [operator, fields] of Object.entries(update)) {
    if (!isDocument(fields)) throw new CommandError(9, `Modifiers operate on fields but we found another type for ${operator}`);
    for (const [path, operand] of Object.entries(fields)) modify(result, operator, path, operand, inserting);
  }
  if (document['_id'] !== undefined && compareValues(result['_id'], document['_id']) !== 0) {
    throw new CommandError(66, "Performing an update on the path '_id' would modify the immutable field '_id'");
  }
  return result;
}

/** The document an upsert inserts: equality conditions of the filter, then the update. */
export function upsertDocument(filter: Doc, update: Doc): Doc {
  const seed: Doc = {};
  for (const [name, condition] of Object.entries(filter)) {
    if (name.startsWith('$') || name.includes('.')) continue;
    if (!isDocument(condition) || !Object.keys(condition).some((key) => key.startsWith('$'))) seed[name] = condition;
    else if ('$eq' in condition) seed[name] = condition['$eq'];
  }
  const document = isModifier(update)
    ? applyUpdate(seed, update, true)
    : applyUpdate('_id' in seed ? { _id: seed['_id'] } : {}, update, true);
  return withId(document);
}

/** The document with an `_id` as its first field. */
export function withId(document: Doc): Doc {
  const { _id: id, ...fields } = document;
  return { _id: id === undefined ? new ObjectId() : id, ...fields };
}

function structuredCopy(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(structuredCopy);
  if (!isDocument(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, structuredCopy(inner)]));
}
