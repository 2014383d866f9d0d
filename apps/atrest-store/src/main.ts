import { run } from './run.js';

const controller = new AbortController();
process.once('SIGINT', () => controller.abort());
process.once('SIGTERM', () => controller.abort());

const say = (error: unknown): void =>
  void process.stderr.write(`atrest-store: ${error instanceof Error ? error.message : String(error)}\n`);

run(process.argv.slice(2), process.env, { line: (text) => void process.stdout.write(`${text}\n`), problem: say }, controller.signal).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    say(error);
    process.exitCode = 2;
  },
);
