import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { processEnd, sourceProcess } from '@atrest/testing';
import { describe, expect, it } from 'vitest';

function run(kind: string): { child: ChildProcess; output: () => string; saw: (text: string) => Promise<void> } {
  const child = sourceProcess({
    module: new URL('sample-program.contract.ts', import.meta.url),
    run: 'program',
    parameters: [kind],
    stdio: 'pipe',
  });
  let output = '';
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (piece: Buffer) => (output += piece.toString()));
  return {
    child,
    output: () => output,
    saw: async (text) => {
      while (!output.includes(text)) await once(child.stdout!, 'data');
    },
  };
}

describe('the life of a process', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('%s stops it, and it exits with 0', async (signal) => {
    const { child, output, saw } = run('ordinary');
    await saw('started');
    child.kill(signal);
    expect(await processEnd(child)).toBe(0);
    expect(output()).toContain('stopping');
  });

  it('a wrong configuration is named, and it exits with 1', async () => {
    const { child, output } = run('misconfigured');
    expect(await processEnd(child)).toBe(1);
    expect(output()).toContain('sample cannot run: its configuration is wrong:\n  ATREST_X is not set. Set it.');
  });

  it('an error that nobody caught ends it with 1', async () => {
    expect(await processEnd(run('broken').child)).toBe(1);
  });

  it('a stop that takes too long is cut, and so is one after a second signal', async () => {
    const slow = run('slow');
    await slow.saw('started');
    slow.child.kill('SIGTERM');
    expect(await processEnd(slow.child)).toBe(1);
    const hanging = run('hanging');
    await hanging.saw('started');
    hanging.child.kill('SIGTERM');
    await hanging.saw('stopping');
    hanging.child.kill('SIGTERM');
    expect(await processEnd(hanging.child)).toBe(1);
  });
});
