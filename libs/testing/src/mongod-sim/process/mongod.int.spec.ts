import { appendFileSync, chmodSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from '../../postgres/wait-for.js';
import { RECORDED_DBPATH_IN_USE, RECORDED_PORT_IN_USE, RECORDED_START, RECORDED_STOP } from '../recorded.fixture.js';
import { MongodSimControl } from '../control/mongod-sim-control.js';
import { CLEAN, SimFleet, type SeenLine, type SimProcess, freePort } from '../sim-fleet.fixture.js';

/** Lines that depend on the machine (user, limits) or come from other threads (connections, session cache). */
const UNORDERED = new Set([22138, 22184, 22943, 22944, 51800, 20712]);

function shape(lines: SeenLine[]): string[] {
  return lines.filter((line) => !UNORDERED.has(line.id)).map((line) => `${line.s} ${line.c} ${line.id}`);
}

function recorded(lines: string[]): string[] {
  return lines.filter((line) => !UNORDERED.has(Number(line.split(' ')[2])));
}

function lockOf(process: SimProcess): string {
  return readFileSync(join(process.dbPath, 'mongod.lock'), 'utf8');
}

/** The file of the journal. */
function journalOf(process: SimProcess): string {
  const folder = join(process.dbPath, 'journal');
  return join(folder, readdirSync(folder)[0] ?? '');
}

describe.concurrent('mongod-sim, a standalone server', () => {
  let fleet: SimFleet;
  beforeAll(() => {
    fleet = new SimFleet();
  });
  afterAll(() => fleet.close());

  it('logs its start and its stop in the recorded order', async () => {
    const server = await fleet.startReady();
    expect(server.lines().find((line) => line.id === 23016)?.attr).toMatchObject({ port: server.port });
    expect(server.lines().find((line) => line.id === 4615611)?.attr).toMatchObject({
      pid: server.child.pid,
      port: server.port,
      dbPath: server.dbPath,
    });
    await server.logged(20320);
    const started = shape(server.lines().filter((line) => line.ctx !== 'LogicalSessionCacheRefresh'));
    expect(started).toEqual(recorded(RECORDED_START));
    expect(lockOf(server)).toBe(`${server.child.pid}\n`);
    expect(await server.kill('SIGTERM')).toEqual(CLEAN);
    expect(shape(server.lines().slice(server.ids().indexOf(23377)))).toEqual(recorded(RECORDED_STOP));
    expect(server.lines().at(-1)).toMatchObject({ id: 23138, attr: { exitCode: 0 } });
    expect(lockOf(server)).toBe('');
    const raw = readFileSync(server.files.out, 'utf8').split('\n')[0];
    expect(raw).toMatch(/^\{"t":\{"\$date":"[\d:.T-]+\+00:00"\},"s":"I", {2}"c":"CONTROL", {2}"id":23285, {3}"ctx":"main","msg":"/);
  });

  it('lets one server alone onto a dbPath, gives the dbPath back after SIGKILL and keeps the data', async () => {
    const dbPath = fleet.dbPath('shared');
    const starting = await Promise.all([1, 2, 3].map(() => fleet.start({ dbPath })));
    await waitFor(
      () => starting.filter((each) => each.exit !== undefined).length === 2 && starting.some((each) => each.ids().includes(23016)),
      {
        describe: 'one server to be left',
      },
    );
    const winner = starting.find((each) => each.exit === undefined) as SimProcess;
    for (const loser of starting.filter((each) => each !== winner)) {
      expect(loser.exit).toEqual({ code: 100, signal: null });
      expect(loser.ids().slice(loser.ids().indexOf(20557))).toEqual(RECORDED_DBPATH_IN_USE);
    }
    expect(lockOf(winner)).toBe(`${winner.child.pid}\n`);
    const orders = fleet.direct(winner).db('shop').collection('orders');
    await orders.insertMany([{ n: 1 }, { n: 2 }], { writeConcern: { w: 1, journal: true } });
    expect(await winner.kill('SIGKILL')).toEqual({ code: null, signal: 'SIGKILL' });
    expect(lockOf(winner)).toBe(`${winner.child.pid}\n`);
    appendFileSync(journalOf(winner), Buffer.from([40, 0, 0, 0, 1, 2, 3, 4, 5])); // A record that a crash cut short.

    const next = await fleet.startReady({ dbPath });
    expect(next.ids()).toEqual(expect.arrayContaining([22271, 22270, 22302, 23987]));
    expect(await fleet.direct(next).db('shop').collection('orders').countDocuments()).toBe(2);
    expect(await next.kill('SIGINT')).toEqual(CLEAN);
    const third = await fleet.startReady({ dbPath });
    expect(third.ids()).not.toContain(22271);
    expect(await fleet.direct(third).db('shop').collection('orders').countDocuments()).toBe(2);
  });

  it('ends with the recorded exit codes when it cannot start', async () => {
    const running = await fleet.startReady();
    const [taken, missing, unknown, open, role] = await Promise.all([
      fleet.start({ port: running.port, dbPath: fleet.dbPath('other') }),
      fleet.start({ dbPath: join(fleet.folder, 'missing') }),
      fleet.start({ args: ['--nosuch'] }),
      (async () => {
        const file = join(fleet.folder, 'key');
        writeFileSync(file, 'c2VjcmV0c2VjcmV0');
        chmodSync(file, 0o644);
        return fleet.start({ args: ['--keyFile', file, '--replSet', 'rs0'] });
      })(),
      fleet.start({ args: ['--fork'] }),
    ]);
    expect(await taken.exited).toEqual({ code: 48, signal: null });
    expect(taken.ids().slice(taken.ids().indexOf(20568))).toEqual(RECORDED_PORT_IN_USE);
    expect(await missing.exited).toEqual({ code: 100, signal: null });
    expect(await unknown.exited).toEqual({ code: 2, signal: null });
    expect(unknown.stderr()).toBe("Error parsing command line: unrecognised option '--nosuch'\ntry 'mongod --help' for more information\n");
    expect(unknown.lines()).toEqual([]);
    expect(await open.exited).toEqual({ code: 1, signal: null });
    expect(open.lines().at(-1)).toMatchObject({
      id: 20254,
      attr: { error: { code: 30, errmsg: expect.stringContaining('are too open') as string } },
    });
    expect((await role.exited).code).toBe(2);
    expect(await fleet.direct(running).db('admin').command({ ping: 1 })).toMatchObject({ ok: 1 });
  });

  it('stops with 0 on a second SIGTERM, on SIGTERM while it starts, and on the command shutdown', async () => {
    const twice = await fleet.startReady();
    twice.child.kill('SIGTERM');
    expect(await twice.kill('SIGTERM')).toEqual(CLEAN);

    const port = await freePort();
    const dbPath = fleet.dbPath('slow');
    const slow = await fleet.start({ port, dbPath });
    await slow.ready();
    slow.control.plant({ kind: 'start-slowly', delayMs: 3_600_000 });
    await slow.kill('SIGTERM');
    const starting = await fleet.start({ port, dbPath });
    await starting.logged(20625);
    expect(await starting.kill('SIGTERM')).toEqual(CLEAN);
    expect(starting.ids()).not.toContain(23016);
    expect(lockOf(starting)).toBe('');

    const ordered = await fleet.startReady();
    const client = fleet.direct(ordered);
    await expect(client.db('admin').command({ shutdown: 1 })).rejects.toThrow(/closed/);
    expect(await ordered.exited).toEqual(CLEAN);
  });

  it('start slowly: nobody is listened to and nothing is promised until its time is over, or it is called off', async () => {
    const [port, dbPath] = [await freePort(), fleet.dbPath('start-slowly')];
    new MongodSimControl(join(fleet.folder, `${port}.sock`)).plant({ kind: 'start-slowly', delayMs: 3_600_000 });
    const slow = await fleet.start({ port, dbPath });
    await slow.logged(20625);
    expect(await slow.control.list()).toEqual([{ kind: 'start-slowly', delayMs: 3_600_000 }]);
    const impatient = fleet.direct(slow, { serverSelectionTimeoutMS: 1 });
    await expect(impatient.db('admin').command({ ping: 1 })).rejects.toThrow(/ECONNREFUSED|timed out/);
    expect(slow.ids()).not.toContain(23015);
    await slow.control.clear('start-slowly');
    await slow.ready();
    expect(await fleet.direct(slow).db('admin').command({ ping: 1 })).toMatchObject({ ok: 1 });
    expect(await slow.kill('SIGTERM')).toEqual(CLEAN);

    // The plan is for every start until it is withdrawn.
    slow.control.unplant();
    slow.control.plant({ kind: 'start-slowly', delayMs: 1 });
    await fleet.startReady({ port, dbPath });
  });

  it('reads a configuration file and shows its options as mongod does', async () => {
    const port = await freePort();
    const dbPath = fleet.dbPath('configured');
    const logPath = join(fleet.folder, 'configured.log');
    const file = join(fleet.folder, 'mongod.conf');
    writeFileSync(
      file,
      `storage:\n  dbPath: ${dbPath}\n  wiredTiger: { engineConfig: { cacheSizeGB: 0.25 } }\nsystemLog: { destination: file, path: ${logPath} }\n`,
    );
    const server = await fleet.start({ port, dbPath, args: ['--config', file, '--bind_ip', '127.0.0.1'] });
    await waitFor(() => readFileSync(logPath, 'utf8').includes('"id":23016'), { describe: 'the log file' });
    const reply = await fleet.direct(server).db('admin').command({ getCmdLineOpts: 1 });
    expect(reply).toMatchObject({
      argv: [
        'mongod',
        '--dbpath',
        dbPath,
        '--port',
        String(port),
        '--setParameter',
        expect.any(String),
        '--config',
        file,
        '--bind_ip',
        '127.0.0.1',
      ],
      parsed: {
        config: file,
        net: { bindIp: '127.0.0.1', port },
        storage: { dbPath, wiredTiger: { engineConfig: { cacheSizeGB: 0.25 } } },
        systemLog: { destination: 'file', path: logPath },
      },
    });
    expect(server.lines()).toEqual([]);
  });

  it('refuses hostile bytes and goes on', async () => {
    const server = await fleet.startReady();
    const hostile = [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.from([0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0xdd, 7, 0, 0]),
      Buffer.from([0, 0, 0, 0, 0, 0, 0, 0]),
      Buffer.from([26, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xdd, 7, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f, 0]),
    ];
    for (const bytes of hostile) {
      const socket = connect(server.port, '127.0.0.1');
      socket.on('error', () => undefined); // A reset is as good an end as a close.
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.write(bytes);
      await closed;
    }
    expect(server.ids()).toContain(4615638);
    expect(await fleet.direct(server).db('admin').command({ ping: 1 })).toMatchObject({ ok: 1 });
  });
});

describe.concurrent('mongod-sim, told to misbehave', () => {
  let fleet: SimFleet;
  beforeAll(() => {
    fleet = new SimFleet();
  });
  afterAll(() => fleet.close());

  it('ignores SIGTERM until it is told to stop doing so', async () => {
    const server = await fleet.startReady();
    await server.control.set({ kind: 'ignore-sigterm' });
    expect(await server.control.list()).toEqual([{ kind: 'ignore-sigterm' }]);
    server.child.kill('SIGTERM');
    await server.logged(23381);
    expect(await fleet.direct(server).db('admin').command({ ping: 1 })).toMatchObject({ ok: 1 });
    await server.control.clear();
    expect(await server.kill('SIGTERM')).toEqual(CLEAN);
  });

  it('hangs: accepts connections, answers nothing, and answers again when the fault is cleared', async () => {
    const server = await fleet.startReady();
    await server.control.set({ kind: 'hang' });
    const asking = fleet.direct(server).db('admin').command({ ping: 1 });
    await server.logged(22943);
    await server.control.clear('hang');
    expect(await asking).toMatchObject({ ok: 1 });
  });

  it('fails a command as often as told', async () => {
    const server = await fleet.startReady();
    const admin = fleet.direct(server).db('admin');
    await server.control.set({ kind: 'fail-command', command: 'ping', code: 125, errmsg: 'no', times: 2 });
    await expect(admin.command({ ping: 1 })).rejects.toMatchObject({ code: 125, codeName: 'CommandFailed', errmsg: 'no' });
    await expect(admin.command({ ping: 1 })).rejects.toMatchObject({ code: 125 });
    expect(await admin.command({ ping: 1 })).toMatchObject({ ok: 1 });
  });

  it('crashes with SIGABRT and a backtrace; the lock file keeps the pid', async () => {
    const server = await fleet.startReady();
    await server.control.set({ kind: 'crash' });
    expect(await server.exited).toEqual({ code: null, signal: 'SIGABRT' });
    expect(server.ids().slice(-8)).toEqual(Array.from({ length: 8 }, () => 31427));
    expect(lockOf(server)).toBe(`${server.child.pid}\n`);
  });

  it('ends with 14 at the first write after its disk is lost', async () => {
    const server = await fleet.startReady();
    await server.control.set({ kind: 'lose-disk' });
    await expect(fleet.direct(server, { retryWrites: false }).db('shop').collection('orders').insertOne({ n: 1 })).rejects.toThrow(
      /closed|reset/i,
    );
    expect(await server.exited).toEqual({ code: 14, signal: null });
    expect(server.ids().slice(-2)).toEqual([23091, 23092]);
  });

  it('aborts on a journal that a crash cannot have left', async () => {
    const server = await fleet.startReady();
    await fleet.direct(server).db('shop').collection('orders').insertOne({ n: 1 });
    await server.kill('SIGKILL');
    const file = journalOf(server);
    const bytes = readFileSync(file);
    bytes[20] = (bytes[20] ?? 0) ^ 0xff;
    writeFileSync(file, bytes);
    const next = await fleet.start({ dbPath: server.dbPath });
    expect(await next.exited).toEqual({ code: null, signal: 'SIGABRT' });
    expect(next.ids()).toContain(31427);
  });
});
