import { readFileSync, writeFileSync } from 'node:fs';
import { stringOf } from '../bson-values.js';
import { endOnUncaught } from './ending.js';
import type { Launch } from './launch.js';
import { ServerLog } from './log.js';
import {
  OptionError,
  type Program,
  type ServerOptions,
  mergeOptions,
  optionsFromFile,
  parseCommandLine,
  serverOptions,
} from './options.js';
import { ParameterError, Parameters } from './parameters.js';

function print(descriptor: 1 | 2, text: string): void {
  writeFileSync(descriptor, text);
}

function refuse(text: string): never {
  print(2, text);
  process.exit(2);
}

function openLog({ logPath, logAppend }: ServerOptions): ServerLog {
  try {
    return ServerLog.open(logPath, logAppend);
  } catch (error) {
    const reason = `FileNotOpen: Failed to open ${logPath ?? ''}: ${(error as NodeJS.ErrnoException).code ?? 'unknown'}`;
    ServerLog.open().fatal('main', 'CONTROL', 20574, 'Error during global initialization', { error: reason });
    return process.exit(1);
  }
}

async function prepare(program: Program, args: string[]): Promise<Launch> {
  const line = parseCommandLine(program, args);
  if (line.help || line.version) {
    const { helpText, versionText } = await import('./help.js');
    print(1, line.help ? helpText(program) : versionText(program));
    process.exit(0);
  }
  let fromFile = {};
  if (line.configFile !== undefined) {
    let text: string;
    try {
      text = readFileSync(line.configFile, 'utf8');
    } catch (error) {
      throw new OptionError(
        `Error opening config file '${line.configFile}': ${stringOf((error as NodeJS.ErrnoException).code) ?? 'unreadable'}`,
      );
    }
    const { parse } = await import('yaml');
    let content: unknown;
    try {
      content = parse(text);
    } catch (error) {
      throw new OptionError(`Error parsing YAML config file: ${error instanceof Error ? error.message : 'unknown'}`);
    }
    fromFile = { config: line.configFile, ...optionsFromFile(program, content) };
  }
  const options = serverOptions(program, args, mergeOptions(fromFile, line.parsed));
  const parameters = new Parameters(options.parameters);
  if (process.env['MONGOD_SIM_CONTROL'] !== undefined && parameters.get('simControl') === '') {
    parameters.set('simControl', process.env['MONGOD_SIM_CONTROL']);
  }
  return { options, parameters, log: openLog(options) };
}

async function launch(program: Program, args: string[]): Promise<Launch> {
  try {
    const prepared = await prepare(program, args);
    // `ps` and pidof show the program under its own name, while /proc/<pid>/cmdline keeps every argument.
    if (process.platform === 'linux') writeFileSync('/proc/self/comm', program);
    endOnUncaught(prepared.log);
    return prepared;
  } catch (error) {
    const hint = `try '${program} --help' for more information\n`;
    if (error instanceof OptionError) return refuse(`Error parsing command line: ${error.message}\n${hint}`);
    if (error instanceof ParameterError) return refuse(`${error.message}\n${hint}`);
    throw error;
  }
}

/** Runs the stand-in of mongod until it is stopped. */
export async function runMongod(args: string[]): Promise<void> {
  const prepared = await launch('mongod', args);
  const { Mongod } = await import('./mongod.js');
  await new Mongod(prepared).start();
}

/** Runs the stand-in of mongos until it is stopped. */
export async function runMongos(args: string[]): Promise<void> {
  const prepared = await launch('mongos', args);
  const { Mongos } = await import('../router/mongos.js');
  await new Mongos(prepared).start();
}
