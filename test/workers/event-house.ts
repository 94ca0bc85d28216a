/** What events objects are given in tests: the house's own ports, but for those that a test takes away for a while. */
import type { EventsPorts } from "../../src/triggers/index.ts";

export const eventHouses = {
  /** Of objects whose ports are asked from now on. */
  change: (ports: EventsPorts): EventsPorts => ports,
  /** The ports are looked up with every call, so that a test reaches the objects that live already. */
  of(ports: EventsPorts): EventsPorts {
    return {
      ...ports,
      start: async (start) => eventHouses.change(ports).start(start),
      subscribers: async (tenant, event) => eventHouses.change(ports).subscribers(tenant, event),
      hear: async (tenant, waiting, event) => eventHouses.change(ports).hear(tenant, waiting, event),
      makerStands: async (tenant, maker) => eventHouses.change(ports).makerStands(tenant, maker),
    };
  },
};
