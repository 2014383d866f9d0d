import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NameSet } from './name-set.js';

describe('a set of names', () => {
  it('has what was added and nothing else, also when it grew', () => {
    const names = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(fc.array(names, { maxLength: 50 }), fc.array(names, { maxLength: 50 }), (added, others) => {
        const set = new NameSet();
        const prefixes = new Set<string>();
        for (const name of added) {
          const prefix = Buffer.from(name.subarray(0, 8)).toString('hex');
          expect(set.add(name)).toBe(!prefixes.has(prefix));
          prefixes.add(prefix);
        }
        expect(set.size).toBe(prefixes.size);
        for (const name of [...added, ...others])
          expect(set.has(name)).toBe(prefixes.has(Buffer.from(name.subarray(0, 8)).toString('hex')));
      }),
    );
  });

  it('holds very many names', () => {
    const set = new NameSet();
    const name = Buffer.alloc(32);
    for (let index = 0; index < 300_000; index += 1) {
      name.writeUInt32BE(Math.imul(index, 2_654_435_761) >>> 0, 4);
      set.add(name);
    }
    expect(set.size).toBe(300_000);
    name.writeUInt32BE(1, 0);
    expect(set.has(name)).toBe(false);
  });
});
