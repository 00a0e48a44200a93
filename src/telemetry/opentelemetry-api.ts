/** The part of `@opentelemetry/api` that is used. */
export type Attributes = Record<string, string | number | boolean>;

/** The part of a span of `@opentelemetry/api` that is used. */
export interface TelemetrySpan {
  setAttribute(name: string, value: string | number | boolean): unknown;
  setStatus(status: { code: number; message?: string }): unknown;
  end(): void;
}

/** The part of a tracer that is used: `trace.getTracer("stored-session")`. */
export interface TelemetryTracer {
  startSpan(name: string, options: { kind: number; attributes: Attributes }): TelemetrySpan;
}

/** The part of an observable result that is used. */
export interface TelemetryObserver {
  observe(value: number, attributes?: Attributes): void;
}

/** The part of a meter that is used: `metrics.getMeter("stored-session")`. */
export interface TelemetryMeter {
  createHistogram(name: string, options: object): { record(value: number, attributes?: Attributes): void };
  createCounter(name: string, options: object): { add(value: number, attributes?: Attributes): void };
  /** For the queue of the audit trail in "lax" mode. Optional: without it that is not measured. */
  createUpDownCounter?(name: string, options: object): { add(value: number, attributes?: Attributes): void };
  /** For the last expiry, checkpoint and verification. Optional: without it they are not measured. */
  createGauge?(name: string, options: object): { record(value: number, attributes?: Attributes): void };
  /** For the gauges of the table. Optional: without it they are not measured. */
  createObservableGauge?(
    name: string,
    options: object,
  ): {
    addCallback(callback: (observer: TelemetryObserver) => Promise<void>): void;
    removeCallback(callback: (observer: TelemetryObserver) => Promise<void>): void;
  };
}
