import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Environment variable with the folder of the run's server; test processes inherit it from the run. */
export const TEST_POSTGRES_FOLDER = 'ATREST_TEST_POSTGRES_FOLDER';

/** Below the temporary folder, where a server that does not run as root can go, wherever the checkout lies. */
export const testPostgresFolder = (runPid: number): string => join(tmpdir(), `atrest-test-postgres-${runPid}`);
