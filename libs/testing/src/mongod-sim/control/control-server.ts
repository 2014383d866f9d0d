import { existsSync, readFileSync, rmSync } from 'node:fs';
import { type Server, createServer } from 'node:net';
import { plantedFaultsFile } from './control-path.js';
import { type Faults, type SimFaultKind, SimFaultError, parseFault } from './faults.js';

/** Longest request line, in bytes. */
const MAX_LINE = 64 * 1024;

/** Reads the faults planted for this start. Throws {@link SimFaultError} when the file makes no sense. */
export function readPlantedFaults(controlPath: string, faults: Faults): void {
  const file = plantedFaultsFile(controlPath);
  if (!existsSync(file)) return;
  const content: unknown = JSON.parse(readFileSync(file, 'utf8'));
  if (!Array.isArray(content)) throw new SimFaultError(`${file} must hold a list of faults`);
  for (const fault of content) faults.add(parseFault(fault));
}

/**
 * Serves the control socket: one JSON request per line, one JSON reply per line.
 * `{"do":"set","fault":{"kind":"hang"}}` · `{"do":"clear"}` or `{"do":"clear","kind":"hang"}` · `{"do":"list"}`
 */
export function serveControl(path: string, faults: Faults, applied: (kind: SimFaultKind) => void): Promise<Server> {
  rmSync(path, { force: true }); // A socket file outlives a killed process; whoever holds the dbPath or port now owns the path.
  const answer = (line: string): unknown => {
    try {
      const request = JSON.parse(line) as { do?: unknown; fault?: unknown; kind?: SimFaultKind };
      if (request.do === 'set') {
        const fault = parseFault(request.fault);
        faults.add(fault);
        // After the reply, because 'crash' leaves no time for one.
        setImmediate(() => applied(fault.kind));
      } else if (request.do === 'clear') faults.clear(request.kind);
      else if (request.do !== 'list') throw new SimFaultError("'do' must be set, clear or list");
      return { ok: true, pid: process.pid, faults: faults.list() };
    } catch (error) {
      return { ok: false, error: error instanceof Error ? error.message : 'unknown' };
    }
  };
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      let text = '';
      socket.setEncoding('utf8');
      socket.on('error', () => socket.destroy());
      socket.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > MAX_LINE) socket.destroy();
        for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
          const line = text.slice(0, end);
          text = text.slice(end + 1);
          if (line.trim() !== '') socket.write(`${JSON.stringify(answer(line))}\n`);
        }
      });
    });
    server.unref();
    server.once('error', reject);
    server.listen(path, () => resolve(server));
  });
}
