import { createRequire } from 'node:module';

/** The part of kafkajs' request queue (one per connection) that is repaired here. */
interface RequestQueue {
  readonly pending: readonly unknown[];
  scheduleCheckPendingRequests: (this: RequestQueue) => void;
}

/** Marks a queue that is repaired: this module may be loaded more than once in a process. */
const REPAIRED = Symbol.for('io.atrest.kafkajs.request-queue');

/**
 * kafkajs 2.2.4 plans its next look at the waiting requests also when none waits, and then with the delay "end of the throttling minus now",
 * which without throttling is far below zero. Every connection so runs an endless loop of timers of 1 ms, and Node 24 prints a
 * `TimeoutNegativeWarning` (tulios/kafkajs#1704, #1751; the fixes proposed there were never released). A request that has to wait plans the
 * look itself, and so does each answer while others wait: where none waits, nothing has to be planned.
 *
 * The class is not part of kafkajs' interface. Should another version have moved it, kafkajs is left as it is.
 */
export function repairRequestQueue(): void {
  const prototype = requestQueuePrototype();
  if (prototype === null || REPAIRED in prototype) return;
  const original = prototype.scheduleCheckPendingRequests;
  Object.defineProperty(prototype, REPAIRED, { value: true });
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue): void {
    if (this.pending.length > 0) original.call(this);
  };
}

function requestQueuePrototype(): RequestQueue | null {
  try {
    const found = createRequire(import.meta.url)('kafkajs/src/network/requestQueue/index.js') as { readonly prototype?: RequestQueue };
    return typeof found.prototype?.scheduleCheckPendingRequests === 'function' ? found.prototype : null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return null;
    throw error;
  }
}
