import { stdout } from 'node:process';

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1).padStart(6)} s`;

/** Prints the demo's steps with the time since its start, and keeps the moments that the summary compares. */
export class Report {
  private readonly startedAt = performance.now();
  private readonly moments = new Map<string, number>();

  title(text: string): void {
    stdout.write(`\n${text}\n${'─'.repeat(text.length)}\n`);
  }

  step(text: string): void {
    stdout.write(`${seconds(performance.now() - this.startedAt)}  ${text}\n`);
  }

  detail(text: string): void {
    for (const line of text.split('\n')) stdout.write(`          ${line}\n`);
  }

  /** Prints a step and remembers when it happened; `since` names an earlier moment to say how long it took. */
  moment(name: string, text: string, since?: string): void {
    this.moments.set(name, performance.now());
    this.step(since === undefined ? text : `${text} (${this.between(since, name)} after ${since})`);
  }

  /** Time between two moments, in seconds with one decimal. */
  between(from: string, to: string): string {
    const start = this.moments.get(from);
    const end = this.moments.get(to);
    return start === undefined || end === undefined ? 'not reached' : `${((end - start) / 1000).toFixed(1)} s`;
  }

  elapsed(): string {
    return `${((performance.now() - this.startedAt) / 1000).toFixed(0)} s`;
  }
}
