import "vitest";

declare module "vitest" {
  export interface ProvidedContext {
    /** Port of the service that test/platform/loopback-server.ts runs. */
    readonly loopbackPort: number;
  }
}
