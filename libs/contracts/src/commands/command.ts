import type { z } from 'zod';
import type { Topic } from '../topics.js';

/** A message that other teams publish and Atrest consumes. */
export interface CommandDefinition<Message = unknown, Payload = unknown> {
  /** `io.atrest.<subject>.requested.v<n>` */
  readonly type: string;
  readonly topic: Topic;
  /** The message's data. */
  readonly schema: z.ZodType<Message>;
  /** What the data's signature covers. */
  readonly payload: z.ZodType<Payload>;
  /** One sentence for the generated reference. */
  readonly description: string;
}

export function defineCommand<Message, Payload>(definition: CommandDefinition<Message, Payload>): CommandDefinition<Message, Payload> {
  return definition;
}
