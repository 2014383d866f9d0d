// Puts together what one app needs to run, and nothing else: its compiled files, those of the libraries it depends on, and the production
// dependencies of all of them, exactly as they are installed here. Used by the Dockerfile:
//
//   node tools/docker/assemble.mjs <app> <target folder> [--without <package>]… [--link]
//
// `--link` makes hard links where it can, for who only looks.
// A package that is only loaded when somebody asks for what it does (an embedded database, say) can be left out of an image where nobody can.
import {
  copyFileSync,
  cpSync,
  existsSync,
  globSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { without: { type: 'string', multiple: true, default: [] }, link: { type: 'boolean', default: false } },
});
const [app, target] = positionals;
if (app === undefined || target === undefined) throw new Error('usage: assemble.mjs <app> <target folder> [--without <package>]… [--link]');

const root = process.cwd();
const manifestOf = (folder) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
const workspaces = new Map(
  manifestOf(root)
    .workspaces.flatMap((pattern) => globSync(`${pattern}/package.json`))
    .map((file) => [manifestOf(dirname(file)).name, resolve(dirname(file))]),
);

/** Where Node finds a package from a folder, or undefined. */
function locate(name, from) {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', name);
    if (existsSync(join(candidate, 'package.json'))) return candidate;
    if (folder === dirname(folder)) return undefined;
  }
}

/** What a package needs at run time: `[name, may be missing]`. */
function needsOf({ dependencies = {}, optionalDependencies = {}, peerDependencies = {}, peerDependenciesMeta = {} }) {
  return [
    ...Object.keys(dependencies).map((name) => [name, name in optionalDependencies]),
    ...Object.keys(optionalDependencies).map((name) => [name, true]),
    ...Object.keys(peerDependencies)
      .filter((name) => peerDependenciesMeta[name]?.optional !== true)
      .map((name) => [name, false]),
  ];
}

const own = new Set();
const foreign = new Set();
function take(folder) {
  const seen = [...workspaces.values()].includes(folder) ? own : foreign;
  if (seen.has(folder)) return;
  seen.add(folder);
  for (const [name, optional] of needsOf(manifestOf(folder))) {
    if (values.without.some((left) => name === left || name.startsWith(`${left}/`))) continue;
    // Types are for the compiler.
    if (name.startsWith('@types/')) continue;
    const found = workspaces.get(name) ?? locate(name, folder);
    if (found !== undefined) take(found);
    else if (!optional) throw new Error(`${name}, needed by ${relative(root, folder)}, is not installed`);
  }
}

/** Copies or links what the filter takes by its name. */
function copyTree(from, to, takes) {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    if (!takes(entry.name)) continue;
    const [source, place] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) copyTree(source, place, takes);
    else if (entry.isSymbolicLink()) cpSync(source, place, { verbatimSymlinks: true });
    else copyFile(source, place);
  }
}

function copyFile(from, to) {
  if (values.link) {
    try {
      return linkSync(from, to);
    } catch (error) {
      // Another file system.
      if (error.code !== 'EXDEV') throw error;
    }
  }
  return copyFileSync(from, to);
}

const start = join(root, 'apps', app);
if (!existsSync(start)) throw new Error(`there is no app ${app}`);
take(start);

for (const folder of own) {
  const place = join(target, relative(root, folder));
  mkdirSync(place, { recursive: true });
  cpSync(join(folder, 'package.json'), join(place, 'package.json'));
  copyTree(join(folder, 'dist'), join(place, 'dist'), (name) => !/\.(d\.ts|map|tsbuildinfo)$/.test(name));
  if (existsSync(join(folder, 'bin'))) cpSync(join(folder, 'bin'), join(place, 'bin'), { recursive: true });
  const { name } = manifestOf(folder);
  const link = join(target, 'node_modules', name);
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(relative(dirname(link), place), link);
}
for (const folder of foreign) {
  // Packages inside come by themselves where they are needed; types and source maps are needed by nobody here.
  copyTree(folder, join(target, relative(root, folder)), (name) => name !== 'node_modules' && !/\.(d\.[cm]?ts|map)$/.test(name));
}
writeFileSync(join(target, 'package.json'), `${JSON.stringify({ name: 'atrest', private: true, type: 'module' })}\n`);
console.log(`${app}: ${own.size} packages of Atrest, ${foreign.size} others`);
