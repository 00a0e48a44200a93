/** The part of prom-client that is used: `import client from "prom-client"`. */
export interface PrometheusClient {
  readonly Histogram: new (configuration: any) => {
    observe(labels: any, value: number): void;
    zero(labels: any): void;
  };
  readonly Counter: new (configuration: any) => { inc(labels: any, value?: number): void };
  readonly Gauge: new (configuration: any) => { set(...values: any[]): void; remove(): void; reset(): void };
  readonly register: PrometheusRegistry;
}

/** The part of a registry that is used. */
export interface PrometheusRegistry {
  removeSingleMetric(name: string): void;
}
