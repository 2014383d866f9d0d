import { watchSignals } from './process/startup-signals.js';

watchSignals();
const { runMongod } = await import('./process/run.js');
await runMongod(process.argv.slice(2));
