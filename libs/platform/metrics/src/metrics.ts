import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

export interface MetricsOptions {
  /** Label `service` of every series; left out where several services share one process and one registry. */
  readonly service?: string;
  /** Also memory, event loop and garbage collection of the process. Only the first registry of a process that asks gets them. */
  readonly defaultMetrics?: boolean;
}

/** Seconds. From a lookup in memory to a long-poll that ran its full time. */
const DEFAULT_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

type Kind = 'counter' | 'gauge' | 'histogram';

/** prom-client's garbage collection observer cannot be taken back, so a process collects its default metrics only once. */
let defaultMetricsTaken = false;

/** The instruments of one process, in a registry of their own. Asking twice for a name gives the same instrument, so that services in one process share it. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #known = new Map<string, { readonly kind: Kind; readonly labels: string; readonly instrument: unknown }>();

  constructor(options: MetricsOptions = {}) {
    if (options.service !== undefined) this.#registry.setDefaultLabels({ service: options.service });
    if (options.defaultMetrics && !defaultMetricsTaken) {
      defaultMetricsTaken = true;
      collectDefaultMetrics({ register: this.#registry });
    }
  }

  /** Counts up. By convention the name ends in `_total`. */
  counter<Label extends string = never>(name: string, help: string, labelNames: readonly Label[] = []): Counter<Label> {
    return this.#once(
      'counter',
      name,
      labelNames,
      () => new Counter({ name, help, labelNames: [...labelNames], registers: [this.#registry] }),
    );
  }

  /** A value that goes up and down. */
  gauge<Label extends string = never>(name: string, help: string, labelNames: readonly Label[] = []): Gauge<Label> {
    return this.#once('gauge', name, labelNames, () => new Gauge({ name, help, labelNames: [...labelNames], registers: [this.#registry] }));
  }

  /** A distribution. By convention in seconds, with a name that ends in `_seconds`. */
  histogram<Label extends string = never>(
    name: string,
    help: string,
    labelNames: readonly Label[] = [],
    buckets: readonly number[] = DEFAULT_BUCKETS,
  ): Histogram<Label> {
    return this.#once(
      'histogram',
      name,
      labelNames,
      () => new Histogram({ name, help, labelNames: [...labelNames], buckets: [...buckets], registers: [this.#registry] }),
    );
  }

  /** Content type of {@link render}. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All series in the Prometheus text format. */
  render(): Promise<string> {
    return this.#registry.metrics();
  }

  #once<Instrument>(kind: Kind, name: string, labelNames: readonly string[], create: () => Instrument): Instrument {
    const labels = [...labelNames].sort().join(',');
    const known = this.#known.get(name);
    if (known === undefined) {
      const instrument = create();
      this.#known.set(name, { kind, labels, instrument });
      return instrument;
    }
    if (known.kind !== kind || known.labels !== labels) {
      throw new Error(
        `Metric ${name} exists as ${known.kind} with labels (${known.labels}) and cannot also be a ${kind} with labels (${labels}).`,
      );
    }
    return known.instrument as Instrument;
  }
}
