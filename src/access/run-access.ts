/** Which runs an identity sees and steers. Scopes are asked for beside this; here it is about whose run it is. Pure. */
import { err, ok, type Result } from "../platform/index.ts";
import { type KeyIdentity, may } from "./identity.ts";
import { isUser } from "./narrowing.ts";
import { refuse, type AccessRefusal } from "./refusals.ts";

/** What has to be known of a run. */
export interface RunOwner {
  readonly tenant: string;
  /** The end user that it acts for. */
  readonly user: string | null;
  /** Id of the API key that started it; null if none did. */
  readonly startedBy: string | null;
}

/** The user that a new run acts for: the one that is named, if that is allowed, or the key's own, or none. */
export function userOfNewRun(
  identity: KeyIdentity,
  named: string | undefined,
): Result<string | null, AccessRefusal> {
  if (named === undefined || named === identity.user) return ok(identity.user);
  if (identity.user !== null) {
    return err(refuse("user_wider", "The API key is bound to another user.", "/user"));
  }
  if (!isUser(named)) return err(refuse("invalid", "This cannot be the id of a user.", "/user"));
  if (!may(identity, "runs:act_as")) {
    return err(
      refuse(
        "user_wider",
        "To name a user needs the scope runs:act_as, which the key does not have.",
        "/user",
      ),
    );
  }
  return ok(named);
}

/** False reads as "there is no such run". */
export function canSeeRun(identity: KeyIdentity, run: RunOwner): boolean {
  return identity.tenant === run.tenant && (identity.user === null || identity.user === run.user);
}

/** Append, signal, close: the key that started the run, or one with `runs:admin`. */
export function canSteerRun(identity: KeyIdentity, run: RunOwner): boolean {
  return canSeeRun(identity, run) && (identity.keyId === run.startedBy || may(identity, "runs:admin"));
}
