/** What a server may need: where its libraries, home and locale are. Everything else, above all secrets of the agent, stays here. */
const ALLOWED =
  /^(PATH|HOME|USER|LOGNAME|SHELL|TZ|TMPDIR|LANG|LC_\w+|LD_LIBRARY_PATH|GLIBC_TUNABLES|MALLOC_\w+|KRB5\w*|MONGOD_\w+|MONGOS_\w+|NODE_ENV)$/;

/** The part of an environment that processes are started with. */
export function childEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined && ALLOWED.test(entry[0])),
  );
}
