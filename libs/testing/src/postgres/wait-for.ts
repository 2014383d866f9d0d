/** Generous, because it only ends what hangs: no test passes or fails by how fast the machine is. */
const LIMIT_MS = 45_000;

export interface WaitForOptions {
  /** What is waited for, for the error: `the cluster to be DISABLED`. */
  readonly describe: string | (() => string);
  readonly limitMs?: number;
}

/**
 * Waits for progress: asks until the answer is neither false, null nor undefined, and returns it. An asking that throws counts as "not yet"
 * and is the error's cause when the limit is reached.
 */
export async function waitFor<T>(predicate: () => T | Promise<T>, o: WaitForOptions): Promise<Exclude<T, false | null | undefined>> {
  const deadline = performance.now() + (o.limitMs ?? LIMIT_MS);
  for (let waitMs = 2; ; waitMs = Math.min(waitMs * 1.5, 100)) {
    let problem: unknown;
    try {
      const answer = await predicate();
      if (answer !== false && answer !== null && answer !== undefined) return answer as Exclude<T, false | null | undefined>;
    } catch (error) {
      problem = error;
    }
    if (performance.now() > deadline) {
      const what = typeof o.describe === 'string' ? o.describe : o.describe();
      throw new Error(`Waited in vain for ${what}`, problem === undefined ? {} : { cause: problem });
    }
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}
