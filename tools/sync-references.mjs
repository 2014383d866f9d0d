// Writes the TypeScript project references of every workspace from its package.json, so that the
// build order follows the declared dependencies and nobody maintains two lists.
// `--check` changes nothing and fails when a list is stale.
import { readFileSync, writeFileSync } from 'node:fs';
import { globSync } from 'node:fs';
import { dirname, relative } from 'node:path';

const check = process.argv.includes('--check');
const root = JSON.parse(readFileSync('package.json', 'utf8'));
const folders = root.workspaces
  .flatMap((pattern) => globSync(`${pattern}/package.json`))
  .map((file) => dirname(file).replaceAll('\\', '/'))
  .sort();
const folderOf = new Map(folders.map((folder) => [JSON.parse(readFileSync(`${folder}/package.json`, 'utf8')).name, folder]));

let stale = 0;
function write(file, value) {
  const text = `${JSON.stringify(value, null, 2)}\n`;
  let before = '';
  try {
    before = readFileSync(file, 'utf8');
  } catch {
    // A new workspace has no file yet.
  }
  if (JSON.stringify(JSON.parse(before || 'null')) === JSON.stringify(value)) return;
  if (check) {
    stale += 1;
    console.error(`${file} is stale: run 'npm run generate' and commit the result`);
  } else {
    writeFileSync(file, text);
  }
}

for (const [name, folder] of folderOf) {
  const manifest = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
  const wanted = Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }).filter((dep) => folderOf.has(dep) && dep !== name);
  const config = JSON.parse(readFileSync(`${folder}/tsconfig.json`, 'utf8'));
  config.references = wanted.map((dep) => ({ path: relative(folder, folderOf.get(dep)) })).sort((a, b) => a.path.localeCompare(b.path));
  write(`${folder}/tsconfig.json`, config);
}
write('tsconfig.json', { files: [], references: folders.map((path) => ({ path })) });
process.exit(stale === 0 ? 0 : 1);
