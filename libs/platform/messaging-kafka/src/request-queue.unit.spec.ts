import { createRequire } from 'node:module';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { repairRequestQueue } from './request-queue.js';

interface Queue {
  throttledUntil: number;
  push(request: { entry: { correlationId: number }; expectResponse: boolean; sendRequest: () => void }): void;
  fulfillRequest(answer: { correlationId: number; payload: Buffer; size: number }): void;
  maybeThrottle(ms: number): void;
  destroy(): void;
}

const RequestQueue = createRequire(import.meta.url)('kafkajs/src/network/requestQueue/index.js') as new (o: object) => Queue;

describe('the request queue of kafkajs', () => {
  let queue: Queue;
  let sent: number[];

  beforeEach(() => {
    repairRequestQueue();
    repairRequestQueue();
    vi.useFakeTimers({ now: new Date('2026-11-23T12:00:00Z') });
    sent = [];
    const logger = { debug: () => undefined, warn: () => undefined };
    queue = new RequestQueue({ maxInFlightRequests: 1, requestTimeout: 30_000, clientId: 'test', broker: 'test', logger });
  });
  afterEach(() => {
    queue.destroy();
    vi.useRealTimers();
  });

  const push = (correlationId: number): void =>
    queue.push({
      entry: Object.assign({ correlationId }, { resolve: () => undefined, reject: () => undefined }),
      expectResponse: true,
      sendRequest: () => void sent.push(correlationId),
    });
  const answer = (correlationId: number): void => queue.fulfillRequest({ correlationId, payload: Buffer.alloc(0), size: 0 });

  test('plans nothing while nothing waits', () => {
    push(1);
    answer(1);
    expect([sent, vi.getTimerCount()]).toEqual([[1], 0]);
  });

  test('sends what waits as soon as an answer makes room, and is quiet after the last', () => {
    for (const id of [1, 2, 3]) push(id);
    expect(sent).toEqual([1]);
    answer(1);
    answer(2);
    expect(sent).toEqual([1, 2, 3]);
    answer(3);
    vi.advanceTimersByTime(1_000);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('sends what waits when the broker no longer throttles', () => {
    queue.maybeThrottle(5_000);
    push(1);
    vi.advanceTimersByTime(4_999);
    expect(sent).toEqual([]);
    vi.advanceTimersByTime(20);
    expect(sent).toEqual([1]);
    answer(1);
    vi.advanceTimersByTime(1_000);
    expect(vi.getTimerCount()).toBe(0);
  });
});
