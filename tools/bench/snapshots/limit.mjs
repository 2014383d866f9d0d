// What this machine can do at best: read, HMAC, AES-GCM and write in a tight loop, on two threads, with nothing else in between.
import { createCipheriv, createHmac, randomBytes } from 'node:crypto';
import { closeSync, fdatasyncSync, openSync, readdirSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { isMainThread, Worker, workerData } from 'node:worker_threads';

const BLOCK = 4 * 1024 * 1024;
const PIECE = 256 * 1024;

if (isMainThread) {
  const [data, target] = process.argv.slice(2);
  const files = readdirSync(data, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ path, size: statSync(path).size }))
    .sort((a, b) => b.size - a.size);
  const halves = [[], []];
  files.forEach((file, index) => halves[index % 2].push(file));
  await Promise.all(
    halves.map(
      (half, index) =>
        new Promise((resolve, reject) =>
          new Worker(new URL(import.meta.url), { workerData: { half, target: `${target}-${index}` } })
            .once('error', reject)
            .once('exit', resolve),
        ),
    ),
  );
} else {
  const { half, target } = workerData;
  const [nameKey, blockKey] = [randomBytes(32), randomBytes(32)];
  const [block, zeros] = [Buffer.allocUnsafe(BLOCK), Buffer.alloc(BLOCK)];
  const output = openSync(target, 'w');
  for (const { path, size } of half) {
    const input = openSync(path, 'r');
    for (let at = 0; at < size; at += BLOCK) {
      const content = block.subarray(0, readSync(input, block, 0, Math.min(BLOCK, size - at), at));
      if (content.equals(zeros.subarray(0, content.length))) continue;
      const hmac = createHmac('sha256', nameKey);
      const cipher = createCipheriv('aes-256-gcm', blockKey, randomBytes(12));
      for (let from = 0; from < content.length; from += PIECE) {
        const piece = content.subarray(from, from + PIECE);
        hmac.update(piece);
        writeSync(output, cipher.update(piece));
      }
      cipher.final();
      writeSync(output, Buffer.concat([cipher.getAuthTag(), hmac.digest()]));
    }
    closeSync(input);
  }
  fdatasyncSync(output);
  closeSync(output);
}
