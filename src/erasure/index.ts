/** The erasure room: the data of an end user, taken out of every place that there is. */
export { type BeingErased, createBeingErased } from "./being-erased.ts";
export { createErasures, type Erasures } from "./erasures.ts";
export type { Erasure } from "./progress.ts";
export type { Places, Whose } from "./walk.ts";
