import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ArgumentsError, commandLine, optionValue, parseCommandLine, redactArguments, type ArgumentsGoal } from './arguments.js';

const member: ArgumentsGoal = {
  kind: 'mongod',
  adopted: false,
  bindIp: '127.0.0.1,db1.example',
  port: 27017,
  dbPath: '/data/a b',
  extraArguments: [],
  replicaSet: { name: 'rs0', role: 'plain', leads: true, members: [] },
  router: null,
};

describe('command line', () => {
  it('says what the goal says, in an order of its own', () => {
    expect(commandLine(member, '/state/p.log')).toEqual({
      argv: '--dbpath|/data/a b|--replSet|rs0|--port|27017|--bind_ip|127.0.0.1,db1.example|--logpath|/state/p.log|--logappend'.split('|'),
      logPath: '/state/p.log',
    });
  });

  it.each([
    ['shard', '--shardsvr'],
    ['config', '--configsvr'],
  ] as const)('gives a %s member its role', (role, option) => {
    expect(commandLine({ ...member, replicaSet: { ...member.replicaSet!, role } }, '/l').argv).toContain(option);
  });

  it('starts a mongos with its config servers and without a data path', () => {
    const goal: ArgumentsGoal = {
      ...member,
      kind: 'mongos',
      dbPath: null,
      replicaSet: null,
      router: { configDB: 'cfg/h:1', shards: [], leads: true },
    };
    const { argv } = commandLine(goal, '/l');
    expect(optionValue(argv, 'configdb')).toBe('cfg/h:1');
    expect(optionValue(argv, 'dbpath')).toBeUndefined();
  });

  it.each([
    [['--port', '1']],
    [['--port=1']],
    [['-port', '1']],
    [['--fork']],
    [['-fork']],
    [['--repair']],
    [['--dbpath', '/elsewhere']],
    [['--replSet', 'other']],
    [['--bind_ip_all']],
    [['--logpath', '/elsewhere']],
    [['--shardsvr']],
    [['--vaultRotateMasterKey']],
  ])('refuses %j, naming the option and not its value', (extraArguments) => {
    expect(() => commandLine({ ...member, extraArguments }, '/l')).toThrow(ArgumentsError);
    expect(() => commandLine({ ...member, extraArguments }, '/l')).not.toThrow(/elsewhere|other/);
  });

  it('drops an extra argument that says the same, since mongod refuses an option given twice', () => {
    const { argv } = commandLine({ ...member, extraArguments: ['--port=27017', '--keyFile', '/k'] }, '/l');
    expect(argv.filter((argument) => argument.startsWith('--port'))).toEqual(['--port']);
    expect(argv.slice(-2)).toEqual(['--keyFile', '/k']);
  });

  it('leaves an adopted process its own address, log and configuration file', () => {
    const own = ['--bind_ip_all', '--logpath', '/var/log/m.log'];
    expect(commandLine({ ...member, adopted: true, extraArguments: own }, '/l')).toMatchObject({ logPath: '/var/log/m.log' });
    const configured = commandLine({ ...member, adopted: true, extraArguments: ['-f', '/etc/mongod.conf'] }, '/l');
    expect(configured.logPath).toBeNull();
    expect(configured.argv).not.toContain('--logpath');
  });

  it('limits the cache where it is told to, unless the user has decided about memory', () => {
    const cacheOf = (change: Partial<ArgumentsGoal>) =>
      optionValue(commandLine({ ...member, ...change }, '/l', { cacheSizeGB: 0.25 }).argv, 'wiredTigerCacheSizeGB');
    expect(cacheOf({})).toBe('0.25');
    expect(cacheOf({ kind: 'config' })).toBe('0.25');
    expect(cacheOf({ extraArguments: ['--wiredTigerCacheSizeGB', '2'] })).toBe('2');
    expect(cacheOf({ extraArguments: ['--storageEngine=inMemory'] })).toBeUndefined();
    expect(cacheOf({ adopted: true })).toBeUndefined();
    const router = { configDB: 'cfg/h:1', shards: [], leads: true };
    expect(cacheOf({ kind: 'mongos', dbPath: null, replicaSet: null, router })).toBeUndefined();
    expect(commandLine(member, '/l').argv).not.toContain('--wiredTigerCacheSizeGB');
  });

  it('keeps every foreign extra argument, in order', () => {
    const option = fc.tuple(
      fc.constantFrom('--setParameter', '--wiredTigerCacheSizeGB', '--oplogSize'),
      fc.stringMatching(/^[a-z0-9=.]{1,8}$/),
    );
    fc.assert(
      fc.property(fc.array(option), (options) => {
        const extraArguments = options.flat();
        const { argv } = commandLine({ ...member, extraArguments }, '/l');
        expect(argv.slice(argv.length - extraArguments.length)).toEqual(extraArguments);
        expect(parseCommandLine(argv).flatMap((each) => each.source)).toEqual(argv);
      }),
    );
  });
});

describe('redaction of a command line', () => {
  it.each([
    [
      ['--tlsCertificateKeyFilePassword', 's3cret'],
      ['--tlsCertificateKeyFilePassword', '***'],
    ],
    [['--kmipClientCertificatePassword=s3cret'], ['--kmipClientCertificatePassword=***']],
    [
      ['--setParameter', 'ldapQueryPassword=s3cret'],
      ['--setParameter', 'ldapQueryPassword=***'],
    ],
    [
      ['--ldapServers', 'ldap://user:s3cret@host'],
      ['--ldapServers', 'ldap://user:***@host'],
    ],
    [
      ['--vaultTokenFile', '/run/token', '--quiet'],
      ['--vaultTokenFile', '/run/token', '--quiet'],
    ],
  ])('%j', (argv, shown) => {
    expect(redactArguments(argv)).toEqual(shown);
  });
});
