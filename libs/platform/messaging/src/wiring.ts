import type { EventDefinition } from '@atrest/contracts';
import { WiringError } from './errors.js';
import type { EventHandler } from './event-handler.js';
import type { Routes } from './judge.js';

/** Handlers by type and the topics to subscribe to. */
export interface Wiring extends Routes {
  readonly topics: readonly string[];
}

/** Throws {@link WiringError} unless every consumed type has exactly one handler, every handler is for a consumed type, and what is ignored lies on a consumed topic. */
export function wire(
  service: string,
  consumes: readonly EventDefinition[],
  handlers: readonly EventHandler[],
  ignores: readonly EventDefinition[],
): Wiring {
  const problems: string[] = [];
  const topics = new Set(consumes.map((definition) => definition.topic.name));
  const consumed = new Set<string>();
  for (const { type } of consumes) {
    if (consumed.has(type)) problems.push(`${type} is consumed twice`);
    consumed.add(type);
  }
  const byType = new Map<string, EventHandler>();
  const fallbacks = new Map<string, EventHandler>();
  for (const handler of handlers) {
    const { type, topic } = handler.definition;
    const other = byType.get(type);
    if (other !== undefined) problems.push(`${type} has two handlers, ${other.name} and ${handler.name}`);
    if (!consumed.has(type)) problems.push(`handler ${handler.name} is for ${type}, which is not consumed`);
    byType.set(type, handler);
    if (handler.alsoUnknownTypes !== true) continue;
    if (fallbacks.has(topic.name)) problems.push(`unknown types of ${topic.name} have two handlers`);
    fallbacks.set(topic.name, handler);
  }
  for (const type of consumed) if (!byType.has(type)) problems.push(`${type} has no handler`);
  for (const { type, topic } of ignores) {
    if (consumed.has(type)) problems.push(`${type} is both consumed and ignored`);
    if (!topics.has(topic.name)) problems.push(`${type} is ignored, but nothing of ${topic.name} is consumed`);
  }
  if (problems.length > 0) throw new WiringError(service, problems);
  return { handlers: byType, fallbacks, ignores: new Set(ignores.map((definition) => definition.type)), topics: [...topics] };
}
