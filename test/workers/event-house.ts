/** What events objects are given in tests: the house's own ports, but for those that a test takes away for a while. */
import type { EventsPorts } from "../../src/triggers/index.ts";

/** Ends the life of the object in which it is called; never returns to it. */
type Die = () => Promise<never>;

export const eventHouses = {
  change: (ports: EventsPorts, _die: Die): EventsPorts => ports,
  /** The ports are looked up with every call, so that a test reaches the objects that live already. */
  of(ports: EventsPorts, ctx: DurableObjectState): EventsPorts {
    const die: Die = async () => {
      ctx.abort("killed by a test");
      return new Promise<never>(() => {});
    };
    const now = (): EventsPorts => eventHouses.change(ports, die);
    return {
      ...ports,
      start: async (start) => now().start(start),
      subscribers: async (tenant, event) => now().subscribers(tenant, event),
      hear: async (tenant, waiting, event) => now().hear(tenant, waiting, event),
      makerStands: async (tenant, maker) => now().makerStands(tenant, maker),
      wasStarted: async (tenant, run, bodyDigest) => now().wasStarted(tenant, run, bodyDigest),
    };
  },
};
