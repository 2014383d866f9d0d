import { VERSION } from './identity.js';
import type { Program } from './options.js';

const DIFFERENCES = `
mongod-sim is a stand-in for tests and demonstrations. It is not a database server.
It behaves like Percona Server for MongoDB 4.4.6-8 as recorded: log ids and order, replies, error codes, exit codes, signals.
Where it differs from the real server:
  * Data: documents are held in memory; the dbPath holds a journal and checkpoints of its own format under WiredTiger-like
    names. A real mongod cannot read them, and a dbPath of a real mongod is refused.
  * With --enableEncryption all of these files are encrypted under keys in key.db, page by page as Percona Server lays them out;
    the IVs of AES256-GCM are random instead of counted.
  * Exclusive use of a dbPath is kept by an abstract unix socket instead of flock, so it holds within one network namespace.
  * With --keyFile both ask for a login (SCRAM-SHA-1, SCRAM-SHA-256; built-in roles; the localhost exception; __system for who has the key file).
    Members prove the key to each other in a way of their own. The users of a mongos are those of its config servers. --auth is refused, and
    there are no roles of one's own.
  * --fork is refused. There is no unix socket file, although the log names one. TLS and compression are not there.
  * Log 23378 names the parent process as the sender of a signal. Before its first line (some 50 ms) a signal kills it.
  * Queries scan; indexes are listed, not used, and only _id is unique. Aggregation knows $match, $group, $sort, $limit, $skip,
    $project, $count, $currentOp and $backupCursor. No transactions, change streams, TTL, capped collections (but the oplog) or sessions.
  * Changes of indexes are in the oplog in a form of its own. There is no rollback file.
  * readConcern majority reads like local. A rollback fetches what it takes back from the sync source. Initial sync copies everything.
  * A copy made with $backupCursor shows, once started, what its journal holds: the real server shows its checkpoint, and has the rest in the
    oplog. Index files are not there, and directories per database are noted and not made.
  * Members do not catch up after an election before they take writes; secondaries never chain.
  * A sharded collection is accepted and not distributed: every database lives on its primary shard. There is no balancer.
    mongos has one connection per shard member and no read preference: it asks the primary.
Parameters that only exist here:
  --setParameter simFast=true      replication times are a fifth to a tenth of the recorded ones
  --setParameter simControl=PATH   control socket (or environment variable MONGOD_SIM_CONTROL). {port} in PATH stands for the
                                   port; a folder stands for FOLDER/{port}.sock. One JSON request per line:
                                     {"do":"set","fault":{"kind":"ignore-sigterm"}}     also hang, fall-behind, lose-disk, crash
                                     {"do":"set","fault":{"kind":"fail-command","command":"replSetStepUp","code":125,"errmsg":"no","times":1}}
                                     {"do":"clear"}  {"do":"clear","kind":"hang"}  {"do":"list"}
                                   Faults of the next start (also start-slowly with delayMs): a list in PATH.faults.json.
`;

const MONGOD_OPTIONS = `Options:
  -h [ --help ]  --version  -f [ --config ] arg (YAML)
  --dbpath arg  --port arg (27017)  --bind_ip arg (localhost)  --bind_ip_all  --ipv6  --maxConns arg  --nounixsocket
  --logpath arg  --logappend  --quiet  --pidfilepath arg  --keyFile arg  --setParameter name=value
  --replSet arg  --oplogSize arg (MB)  --shardsvr  --configsvr
  --storageEngine arg (wiredTiger)  --wiredTigerCacheSizeGB arg  --directoryperdb  --wiredTigerDirectoryForIndexes
  --syncdelay arg  --slowms arg  --profile arg  --journal  --nojournal  --journalCommitInterval arg
  --enableEncryption  --encryptionKeyFile arg  --encryptionCipherMode arg (AES256-CBC, AES256-GCM)
`;

const MONGOS_OPTIONS = `Options:
  -h [ --help ]  --version  -f [ --config ] arg (YAML)
  --configdb set/host:port,...  --port arg (27017)  --bind_ip arg (localhost)  --bind_ip_all  --ipv6  --maxConns arg  --nounixsocket
  --logpath arg  --logappend  --quiet  --pidfilepath arg  --keyFile arg  --setParameter name=value
`;

export function helpText(program: Program): string {
  return `${program === 'mongod' ? MONGOD_OPTIONS : MONGOS_OPTIONS}${DIFFERENCES}`;
}

export function versionText(program: Program): string {
  const name = program === 'mongod' ? 'db' : 'mongos';
  return `${name} version v${VERSION}\nBuild Info: {\n    "version": "${VERSION}",\n    "psmdbVersion": "${VERSION}",\n    "modules": [],\n    "mongodSim": true\n}\n`;
}
