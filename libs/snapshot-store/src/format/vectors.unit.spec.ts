import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { nameOfBlock, openBlock, sealBlock } from './block.js';
import { deriveEpochKeys } from './keys.js';
import { openManifest, sealManifest, type Manifest } from './manifest.js';

interface Vectors {
  readonly epochId: string;
  readonly dataKey: string;
  readonly derived: Record<'blockName' | 'blockContent' | 'manifest' | 'epochHeader', string>;
  readonly blocks: readonly { readonly codec: 'none' | 'zstd'; readonly content: string; readonly name: string; readonly sealed: string }[];
  readonly manifest: { readonly value: Manifest; readonly sealed: string };
}

const hex = (text: string): Buffer => Buffer.from(text, 'hex');

describe('the published test vectors', () => {
  let vectors: Vectors;
  beforeAll(async () => {
    vectors = JSON.parse(
      await readFile(new URL('../../../../docs/reference/snapshot-format.vectors.json', import.meta.url), 'utf8'),
    ) as Vectors;
  });
  const keysOf = () => deriveEpochKeys(vectors.epochId, hex(vectors.dataKey));
  const blockKeys = () => ({ epochId: hex(vectors.epochId), name: keysOf().name, block: keysOf().block });

  it('derive the same keys', () => {
    const { name, block, manifest, header } = keysOf();
    expect({ blockName: name, blockContent: block, manifest, epochHeader: header }).toEqual(
      Object.fromEntries(Object.entries(vectors.derived).map(([purpose, key]) => [purpose, hex(key)])),
    );
  });

  it('name and open the same blocks, with either codec', () => {
    expect(vectors.blocks.map(({ codec }) => codec)).toEqual(['none', 'zstd', 'none']);
    for (const { codec, content, name, sealed } of vectors.blocks) {
      expect(nameOfBlock(blockKeys(), hex(content)).toString('hex')).toBe(name);
      expect(openBlock(blockKeys(), hex(name), hex(sealed)).toString('hex')).toBe(content);
      // What this release seals has the same layout: only nonce, ciphertext and tag differ.
      const again = sealBlock(blockKeys(), hex(name), hex(content), { compress: codec === 'zstd' });
      expect(again.subarray(0, 12).toString('hex')).toBe(sealed.slice(0, 24));
    }
  });

  it('open the same manifest', () => {
    const { value, sealed } = vectors.manifest;
    expect(openManifest(keysOf(), value.snapshotId, hex(sealed))).toEqual(value);
    const labelEnd = 12 + hex(sealed).readUInt32BE(8);
    expect(sealManifest(keysOf(), value).subarray(0, labelEnd)).toEqual(hex(sealed).subarray(0, labelEnd));
  });
});
