/** The surroundings of endpoint objects in tests: their own, but for what a test says. */
import type { EndpointPorts } from "../../src/triggers/index.ts";

export const endpointHouse = {
  /** Of objects whose life begins from now on. */
  change: null as ((ports: EndpointPorts, ctx: DurableObjectState) => EndpointPorts) | null,
  ports(ctx: DurableObjectState, real: EndpointPorts): EndpointPorts {
    return this.change?.(real, ctx) ?? real;
  },
};
