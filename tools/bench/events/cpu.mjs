// CPU time by process, from Linux's /proc. Elsewhere there is none, and the benchmark does without.
import { readdir, readFile } from 'node:fs/promises';

/** Ticks of `utime` and its like in /proc; Linux shows 100 a second to everybody, whatever the kernel counts in. */
const TICKS_PER_SECOND = 100;

/** Seconds that this process and those below it, the ended ones included, have spent on a CPU; undefined where that is not known. */
export async function cpuSeconds(pid) {
  if (pid === undefined || pid === null) return undefined;
  const processes = new Map();
  for (const name of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => undefined);
    if (stat === undefined) continue;
    // The name of the program, in parentheses, may contain anything; what follows is: state, parent, … utime, stime, cutime, cstime.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    processes.set(Number(name), { parent: Number(fields[1]), ticks: fields.slice(11, 15).reduce((sum, each) => sum + Number(each), 0) });
  }
  if (!processes.has(pid)) return undefined;
  let ticks = 0;
  for (const [each, own] of processes) {
    let ancestor = each;
    while (ancestor !== pid && processes.has(ancestor)) ancestor = processes.get(ancestor).parent;
    if (ancestor === pid) ticks += own.ticks;
  }
  return ticks / TICKS_PER_SECOND;
}
