import { readFileSync, writeFileSync } from 'node:fs';
import { stringOf } from '../bson-values.js';
import { type ServerLog, ServerLog as Log } from './log.js';
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

/** What a program is started with. */
export interface Launch {
  options: ServerOptions;
  parameters: Parameters;
  log: ServerLog;
}

function print(descriptor: 1 | 2, text: string): void {
  writeFileSync(descriptor, text);
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
  return { options, parameters, log: Log.open(options.logPath, options.logAppend) };
}

async function launch(program: Program, args: string[]): Promise<Launch> {
  try {
    const prepared = await prepare(program, args);
    // `ps` and pidof show the program under its own name, while /proc/<pid>/cmdline keeps every argument.
    if (process.platform === 'linux') writeFileSync('/proc/self/comm', program);
    if (prepared.options.pidFile !== undefined) writeFileSync(prepared.options.pidFile, `${process.pid}\n`);
    return prepared;
  } catch (error) {
    if (error instanceof OptionError)
      print(2, `Error parsing command line: ${error.message}\ntry '${program} --help' for more information\n`);
    else if (error instanceof ParameterError) print(2, `${error.message}\ntry '${program} --help' for more information\n`);
    else throw error;
    process.exit(2);
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
