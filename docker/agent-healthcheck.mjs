// HEALTHCHECK of the agent, which listens nowhere: exit code 0 when this host is enrolled and its agent is the container's first process.
import { access, readFile } from 'node:fs/promises';

const STATE = process.env.ATREST_AGENT_STATE ?? '/var/lib/atrest/agent';
try {
  await access(`${STATE}/credential.json`);
  if (!(await readFile('/proc/1/cmdline', 'utf8')).includes('agent/dist/main.js')) process.exit(1);
} catch {
  process.exit(1);
}
