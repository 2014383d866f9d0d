import { EmbeddedTransport } from './index.js';
import { effectHandler, openSampleService, sampleEvent, sampleTopic } from './sample-service.contract.js';

/** A service in a process of its own, which one of its events kills. Ends by itself when nothing waits any more. */
export async function runPoisonedService(url: string, topic: string): Promise<void> {
  const changed = sampleEvent(sampleTopic(topic));
  const service = await openSampleService({
    service: 'consumer',
    url,
    transport: new EmbeddedTransport(),
    handlers: [
      effectHandler(changed, (sample) => {
        if (sample.id === 'poison') process.kill(process.pid, 'SIGKILL');
      }),
    ],
    options: { claimMs: 200, retry: { baseMs: 2, maxMs: 20, attempts: 3 } },
  });
  await service.messaging.whenCaughtUp();
  await service.stop();
}
