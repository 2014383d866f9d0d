import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CompactEncrypt, importJWK } from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { SealedForOthersError, SealingKey } from './sealing-key.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atrest-sealing-key-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function sealFor(key: SealingKey, text: string, enc = 'A256GCM'): Promise<string> {
  return new CompactEncrypt(new TextEncoder().encode(text))
    .setProtectedHeader({ alg: 'ECDH-ES', enc })
    .encrypt(await importJWK(key.publicJwk, 'ECDH-ES'));
}

it('a host has one key pair for all its lives, shows only its public half, and opens what is sealed for it', async () => {
  const path = join(folder, 'one.json');
  const key = await SealingKey.at(path);
  expect(key.publicJwk).toEqual({ kty: 'OKP', crv: 'X25519', x: expect.stringMatching(/^[\w-]{43}$/) });
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(JSON.parse(await readFile(path, 'utf8'))).toHaveProperty('d');

  const sealed = await sealFor(key, 'the secret');
  const nextLife = await SealingKey.at(path);
  expect(nextLife.publicJwk).toEqual(key.publicJwk);
  expect(await nextLife.open(sealed)).toBe('the secret');
});

it('what is sealed for another key, in another way, or damaged is refused without a word of its content', async () => {
  const key = await SealingKey.at(join(folder, 'mine.json'));
  const other = await SealingKey.at(join(folder, 'theirs.json'));
  const sealed = await sealFor(key, 'the secret');
  const refused = [await sealFor(other, 'the secret'), await sealFor(key, 'the secret', 'A128GCM'), sealed.replace(/.$/, '!'), 'nothing'];
  for (const text of refused) {
    const error = await key.open(text).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(SealedForOthersError);
    expect(String(error)).not.toContain('the secret');
  }
});

it('a key file that cannot be read is an error: no second key is made in its place', async () => {
  const path = join(folder, 'broken.json');
  await writeFile(path, '{"kty": "OKP"}');
  await expect(SealingKey.at(path)).rejects.toThrow();
  expect(await readFile(path, 'utf8')).toBe('{"kty": "OKP"}');
});
