import { Double, Int32 } from 'bson';
import { hostname } from 'node:os';
import { type Doc, isDocument, numberOf, truthy } from '../bson-values.js';
import type { MongodServer } from '../server.js';
import { keyOf } from '../storage/keys.js';
import { matches, project, sortDocuments, valuesAt } from '../storage/matcher.js';
import { CommandError } from './command-error.js';
import type { CommandContext } from './command.js';
import { ListSource } from './cursors.js';
import { documentsOf } from './scan.js';

/** Stages that ask the server instead of a collection. */
const SERVER_STAGES = new Set(['$backupCursor', '$backupCursorExtend', '$currentOp']);

function evaluate(document: Doc, expression: unknown): unknown {
  if (typeof expression === 'string' && expression.startsWith('$')) return valuesAt(document, expression.slice(1))[0];
  if (isDocument(expression)) {
    if (Object.keys(expression).some((name) => name.startsWith('$'))) {
      throw new CommandError(168, `Unrecognized expression '${Object.keys(expression)[0] ?? ''}' (mongod-sim knows field paths only)`);
    }
    return Object.fromEntries(Object.entries(expression).map(([name, inner]) => [name, evaluate(document, inner)]));
  }
  return expression;
}

function total(values: unknown[]): unknown {
  const numbers = values.map(numberOf).filter((value) => value !== undefined);
  const sum = numbers.reduce((before, value) => before + value, 0);
  return values.some((value) => value instanceof Double)
    ? new Double(sum)
    : Number.isInteger(sum) && Math.abs(sum) < 2 ** 31
      ? new Int32(sum)
      : sum;
}

function accumulate(operator: string, values: unknown[]): unknown {
  switch (operator) {
    case '$sum':
      return total(values);
    case '$count':
      return new Int32(values.length);
    case '$first':
      return values[0];
    case '$last':
      return values.at(-1);
    case '$push':
      return values;
    case '$max':
    case '$min': {
      const sorted = sortDocuments(
        values.map((v) => ({ v })),
        { v: operator === '$max' ? -1 : 1 },
      );
      return sorted[0]?.['v'] ?? null;
    }
    case '$avg': {
      const numbers = values.map(numberOf).filter((value) => value !== undefined);
      return numbers.length === 0 ? null : new Double(numbers.reduce((before, value) => before + value, 0) / numbers.length);
    }
    default:
      throw new CommandError(15952, `unknown group operator '${operator}'`);
  }
}

function group(documents: Doc[], specification: Doc): Doc[] {
  const groups = new Map<string, { id: unknown; members: Doc[] }>();
  for (const document of documents) {
    const id = evaluate(document, specification['_id']) ?? null;
    const key = keyOf(id);
    const found = groups.get(key);
    if (found === undefined) groups.set(key, { id, members: [document] });
    else found.members.push(document);
  }
  return [...groups.values()].map(({ id, members }) => {
    const result: Doc = { _id: id };
    for (const [name, accumulator] of Object.entries(specification)) {
      if (name === '_id') continue;
      const [operator, operand] = Object.entries(accumulator as Doc)[0] ?? [];
      if (operator === undefined) throw new CommandError(40234, `The field '${name}' must be an accumulator object`);
      result[name] = accumulate(
        operator,
        members.map((member) => evaluate(member, operand)),
      );
    }
    return result;
  });
}

function stage(documents: Doc[], name: string, operand: unknown): Doc[] {
  switch (name) {
    case '$match':
      return documents.filter((document) => matches(document, operand as Doc));
    case '$sort':
      return sortDocuments(documents, operand as Doc);
    case '$limit':
      return documents.slice(0, numberOf(operand));
    case '$skip':
      return documents.slice(numberOf(operand));
    case '$project':
      return documents.map((document) => project(document, operand as Doc));
    case '$count':
      return documents.length === 0 ? [] : [{ [operand as string]: new Int32(documents.length) }];
    case '$group':
      return group(documents, operand as Doc);
    default:
      throw new CommandError(40324, `Unrecognized pipeline stage name: '${name}'`);
  }
}

/** `aggregate` with the stages a client needs to count, list and group. */
export async function aggregate(server: MongodServer, { command, db }: CommandContext): Promise<Doc> {
  const pipeline = command['pipeline'];
  if (!Array.isArray(pipeline)) throw new CommandError(14, "'pipeline' option must be specified as an array");
  const target = command['aggregate'];
  const ns = typeof target === 'string' ? `${db}.${target}` : `${db}.$cmd.aggregate`;
  let documents = typeof target === 'string' ? documentsOf(server, ns) : [];
  const cursor = isDocument(command['cursor']) ? command['cursor'] : {};
  const options = { batchSize: numberOf(cursor['batchSize']), originatingCommand: { ...command, $db: db } };
  for (const [index, item] of (pipeline as Doc[]).entries()) {
    const [name, operand] = Object.entries(item)[0] ?? ['', undefined];
    if (SERVER_STAGES.has(name)) {
      if (index !== 0) throw new CommandError(40602, `${name} is only valid as the first stage in a pipeline.`);
      if (ns !== 'admin.$cmd.aggregate') throw new CommandError(73, `${name} must be run against the 'admin' database with {aggregate: 1}`);
    }
    if (name === '$backupCursor') return server.cursors.first(ns, server.backup.open(), options);
    if (name === '$backupCursorExtend') return server.cursors.first(ns, await server.backup.extend(operand), options);
    if (name === '$currentOp') {
      const idle = isDocument(operand) && truthy(operand['idleCursors']);
      documents = idle ? server.cursors.idle(`${hostname()}:${server.options.port}`) : [];
    } else documents = stage(documents, name, operand);
  }
  return server.cursors.first(ns, new ListSource(documents), options);
}
