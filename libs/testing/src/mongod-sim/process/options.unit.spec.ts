import { describe, expect, it } from 'vitest';
import { SimFaultError, parseFault } from '../control/faults.js';
import { OptionError, mergeOptions, optionsFromFile, parseCommandLine, serverOptions } from './options.js';
import { ParameterError, Parameters } from './parameters.js';

const options = (program: 'mongod' | 'mongos', args: string[]) => serverOptions(program, args, parseCommandLine(program, args).parsed);

describe('the command line', () => {
  it('is shown by getCmdLineOpts as recorded', () => {
    const { argv, parsed } = options('mongod', [
      '--dbpath',
      '/data/d1',
      '--port',
      '27101',
      '--bind_ip',
      '127.0.0.1',
      '--wiredTigerCacheSizeGB',
      '0.25',
    ]);
    expect(argv).toEqual([
      'mongod',
      '--dbpath',
      '/data/d1',
      '--port',
      '27101',
      '--bind_ip',
      '127.0.0.1',
      '--wiredTigerCacheSizeGB',
      '0.25',
    ]);
    expect(parsed).toEqual({
      net: { bindIp: '127.0.0.1', port: 27101 },
      storage: { dbPath: '/data/d1', wiredTiger: { engineConfig: { cacheSizeGB: 0.25 } } },
    });
    const member = options('mongod', [
      '--replSet=rs0',
      '--keyFile',
      '/k',
      '--shardsvr',
      '--nojournal',
      '--oplogSize',
      '64',
      '--setParameter',
      'a=b=c',
    ]);
    expect(member.parsed).toEqual({
      replication: { oplogSizeMB: 64, replSet: 'rs0' },
      security: { keyFile: '/k' },
      setParameter: { a: 'b=c' },
      sharding: { clusterRole: 'shardsvr' },
      storage: { journal: { enabled: false } },
    });
    expect(member).toMatchObject({ port: 27018, dbPath: '/data/db', addresses: ['127.0.0.1'] });
    expect(options('mongod', ['--configsvr', '--replSet', 'c']).port).toBe(27019);
    expect(options('mongos', ['--configdb', 'cfg/a:1,b:2']).parsed).toEqual({ sharding: { configDB: 'cfg/a:1,b:2' } });
  });

  it.each([
    ['mongod', ['--nosuch'], "unrecognised option '--nosuch'"],
    ['mongod', ['--fork'], "unrecognised option '--fork'"],
    ['mongod', ['--auth'], "unrecognised option '--auth'"],
    ['mongod', ['--enableEncryption'], 'no encryption key file'],
    ['mongod', ['--enableEncryption', '--encryptionKeyFile', '/k', '--encryptionCipherMode', 'AES'], 'unknown cipher mode'],
    ['mongos', ['--enableEncryption'], "unrecognised option '--enableEncryption'"],
    ['mongod', ['--configdb', 'c/a:1'], "unrecognised option '--configdb'"],
    ['mongos', ['--dbpath', '/x'], "unrecognised option '--dbpath'"],
    ['mongod', ['--port'], 'is missing'],
    ['mongod', ['--port', 'x'], 'is invalid'],
    ['mongod', ['--port', '70000'], 'between 0 and 65535'],
    ['mongod', ['--port', '1', '--port', '2'], 'more than once'],
    ['mongod', ['stray'], 'positional'],
    ['mongod', ['--shardsvr'], '--replSet'],
    ['mongod', ['--setParameter', 'x'], 'Illegal option assignment'],
    ['mongod', ['--storageEngine', 'inMemory'], 'unknown storage engine'],
    ['mongos', [], 'no args for --configdb'],
    ['mongos', ['--configdb', 'a:1'], 'replica set connection string'],
  ] as const)('%s %j is refused', (program, args, reason) => {
    expect(() => options(program, [...args])).toThrow(OptionError);
    expect(() => options(program, [...args])).toThrow(reason);
  });

  it('takes a configuration file, over which the command line wins', () => {
    const file = optionsFromFile('mongod', {
      net: { port: 1, bindIp: '*' },
      replication: { replSetName: 'rs0' },
      setParameter: { ttlMonitorEnabled: false },
    });
    const merged = serverOptions('mongod', [], mergeOptions(file, parseCommandLine('mongod', ['--port', '2']).parsed));
    expect(merged).toMatchObject({ port: 2, addresses: ['0.0.0.0'], replSet: 'rs0', parameters: { ttlMonitorEnabled: 'false' } });
    for (const content of [{ net: { nosuch: 1 } }, { net: { port: 'x' } }, [], { security: { authorization: 'enabled' } }]) {
      expect(() => optionsFromFile('mongod', content)).toThrow(OptionError);
    }
  });

  it('knows parameters and faults by name only', () => {
    const parameters = new Parameters({ simFast: 'true', logLevel: '2' });
    expect([parameters.get('simFast'), parameters.get('logLevel'), parameters.set('logLevel', 1)]).toEqual([true, 2, 2]);
    expect(() => new Parameters({ nosuch: '1' })).toThrow(ParameterError);
    expect(() => new Parameters({ logLevel: 'x' })).toThrow(ParameterError);
    expect(parseFault({ kind: 'start-slowly', delayMs: 5 })).toEqual({ kind: 'start-slowly', delayMs: 5 });
    for (const fault of [
      null,
      {},
      { kind: 'nosuch' },
      { kind: 'start-slowly' },
      { kind: 'fail-command', command: 'ping', code: 'x', errmsg: '' },
    ]) {
      expect(() => parseFault(fault)).toThrow(SimFaultError);
    }
  });
});
