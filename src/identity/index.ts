/** The door of identity: what a cloud role is, and for whom identity tokens speak. */

export type { Subject } from "./role.ts";
