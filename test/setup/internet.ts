/** What is outside of a command under test, which has no other internet. */
import { hostsOf } from "./hosts.ts";
import { StandIn } from "./stand-in.ts";

/** @param folder of the account */
export function internetOf(folder: string): (url: string, init: RequestInit) => Promise<Response> {
  return hostsOf(new StandIn(folder));
}
