// Generates what docs/ says about the code from the code. `--check` changes nothing and fails when a file is stale.
import { generateEvents } from './events.mjs';
import { Output } from './output.mjs';

const output = new Output({ check: process.argv.includes('--check') });
await generateEvents(output);
process.exit(output.finish());
