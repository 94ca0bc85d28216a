// What `wrangler types` cannot know about the Worker's environment. The rest is in worker-configuration.d.ts.

/** True only in builds for the crash tests (`wrangler.toml`, `[define]`); false removes every crash point from the bundle. */
declare const CRASH_POINTS: boolean;

/** True only in builds for local work and for tests; false removes the mapping of names to loopback (src/platform/development.ts). */
declare const DEVELOPMENT: boolean;

interface Env {
  /** The operator's: makes tenants and admin keys, keeps the vault; may be unset while it is not needed. */
  readonly ROOT_API_KEY?: string;
  /** Development builds only: JSON object from DNS name to loopback port (src/platform/development.ts). */
  readonly DEV_HOSTS?: string;
  /** JSON: service tokens by name, each with the exact hosts that it may be sent to (src/actions/service-tokens.ts). */
  readonly SERVICE_TOKENS?: string;
  /** Host names of this deployment, by commas, beside that of PUBLIC_ORIGIN: no step may call them. */
  readonly OWN_HOSTS?: string;
  /** Where verifiers find the issuers of tenants: an https origin without a port. Missing: workflows have no identity. Never change it. */
  readonly ISSUER_ORIGIN?: string;
  /** A claim of every identity token: `production` if it is missing. */
  readonly ENVIRONMENT?: string;
  /** Where browsers find this deployment: an https origin, for links and redirect URIs. Missing: where the request came to. */
  readonly PUBLIC_ORIGIN?: string;
  /** Outside calls per event of the platform; 40 on a free plan. */
  readonly CALLS_PER_EVENT?: string;
  /** Objects among which the directory of a tenant is divided; 1 if it is missing. It can be raised, never lowered. */
  readonly DIRECTORY_SHARDS?: string;
  /** The whole https address to which spans of runs are sent (OTLP over HTTP, JSON). Missing: nowhere. */
  readonly OTEL_EXPORTER_OTLP_TRACES_ENDPOINT?: string;
  /** A secret: what is sent with them, `name=value` with commas between, percent-encoded. */
  readonly OTEL_EXPORTER_OTLP_HEADERS?: string;
  /** A data set to which is written what is counted. Missing: nowhere. */
  readonly METRICS?: AnalyticsEngineDataset;
  /** Builds for the crash tests only: where to stop, like `turn-appended:3` (src/platform/crash-points.ts). */
  readonly CRASH_AT?: string;
}

declare namespace Cloudflare {
  interface Env {
    readonly ROOT_API_KEY?: string;
    readonly DEV_HOSTS?: string;
    readonly SERVICE_TOKENS?: string;
    readonly OWN_HOSTS?: string;
    readonly ISSUER_ORIGIN?: string;
    readonly ENVIRONMENT?: string;
    readonly PUBLIC_ORIGIN?: string;
    readonly CALLS_PER_EVENT?: string;
    readonly DIRECTORY_SHARDS?: string;
    readonly OTEL_EXPORTER_OTLP_TRACES_ENDPOINT?: string;
    readonly OTEL_EXPORTER_OTLP_HEADERS?: string;
    readonly METRICS?: AnalyticsEngineDataset;
    readonly CRASH_AT?: string;
  }
}
