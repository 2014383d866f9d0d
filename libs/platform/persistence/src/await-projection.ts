/** A projection lags by milliseconds. 25 ms keeps the wait short and a missing thing costs at most 80 look-ups in 2 s. */
const POLL_MS = 25;

/**
 * Looks a projection up until it is there, because the event that fills it may still be on its way; `undefined` when it is not there after
 * `timeoutMs` (2,000 by default: far above any lag of a healthy installation, short enough for a person who mistyped an id).
 */
export async function awaitProjection<T>(
  lookup: () => Promise<T | null | undefined>,
  o: { timeoutMs?: number } = {},
): Promise<T | undefined> {
  const deadline = performance.now() + (o.timeoutMs ?? 2_000);
  for (;;) {
    const found = await lookup();
    if (found !== undefined && found !== null) return found;
    if (performance.now() >= deadline) return undefined;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
