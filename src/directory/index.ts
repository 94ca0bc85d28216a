/** The directory room: the object that lists a tenant's runs, and the sweeper that keeps it true. */

export { type Changes, createDirectory, type Directory } from "./directory.ts";
export type { Filter } from "./filters.ts";
export { WiredDirectoryObject } from "./object.ts";
export type { Measured } from "./measured.ts";
export type { Listed, Place, Report } from "./report.ts";
export type { Bucket, ChangedRun, DirectoryRpc, ShardMetrics, Swept } from "./rpc.ts";
export { parseShards, shardOf } from "./shards.ts";
export { sweepAll } from "./sweeper.ts";
export type { SweepPorts } from "./sweeping.ts";
