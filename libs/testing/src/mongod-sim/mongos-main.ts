import { watchSignals } from './process/startup-signals.js';

watchSignals();
const { runMongos } = await import('./process/run.js');
await runMongos(process.argv.slice(2));
