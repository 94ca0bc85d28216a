/** What a hook is, and what is wrong with one that is asked for. Pure, but for the checks of expressions, which are a port. */
import type { Json } from "../../kernel/index.ts";
import { isName } from "../../platform/index.ts";
import { type HookRules, MAX_BODY_BYTES } from "../judging.ts";
import { isHeaderName, maySee } from "../schemes/values.ts";
import { settingsFlaw } from "../schemes/verify.ts";
import type { Maker } from "../start-port.ts";
import { canRevoke } from "./revocations.ts";

const MAX_HEADERS = 16;
const MAX_PER_MINUTE = 60_000;
const MAX_INPUT_CHARS = 65_536;

export interface Hook extends HookRules {
  readonly tenant: string;
  readonly name: string;
  /** Random: runs are told from those of a hook that had the name before. */
  readonly id: string;
  /** Null: nothing is started; what comes only marks connections. */
  readonly workflow: string | null;
  /** The integration whose connections a revocation marks that the provider tells of; null: none. */
  readonly revokes: string | null;
  /** The end user on whose behalf the runs act; null: the tenant. */
  readonly user: string | null;
  readonly version: number;
  readonly createdAt: number;
  /** The identity that made it. */
  readonly createdBy: string;
  readonly updatedAt: number;
  /** Who answers for what it starts: whoever has last changed it, or given it a secret. */
  readonly maker: Maker;
  /** Null where it is not paused, or somebody said so. */
  readonly pausedReason: "maker_revoked" | null;
}

export type HookDraft = HookRules & Pick<Hook, "workflow" | "revokes" | "user">;

/** What expressions a hook may hold. */
export interface ExpressionCheck {
  check(text: string): readonly { readonly pointer: string; readonly detail: string }[];
  checkTemplate(template: Json): readonly { readonly pointer: string; readonly detail: string }[];
}

export interface HookFlaw {
  /** JSON pointer into the draft. */
  readonly pointer: string;
  readonly detail: string;
}

/** All that is wrong with a draft. */
export function hookFlaws(draft: HookDraft, expressions: ExpressionCheck): HookFlaw[] {
  const { scheme, rate, maxBodyBytes, headers, filter, input, workflow, revokes, user } = draft;
  const flaws: HookFlaw[] = [];
  const say = (pointer: string, detail: string): void => {
    flaws.push({ pointer, detail });
  };
  if (workflow !== null && !isName(workflow)) say("/workflow", "This is not the name of a workflow.");
  if (workflow === null && revokes === null)
    say("/workflow", "A hook starts a workflow, or says whose connections it marks (`revokes`).");
  if (revokes !== null && !isName(revokes)) say("/revokes", "This is not the name of an integration.");
  if (revokes !== null && !canRevoke(scheme))
    say("/revokes", "Only deliveries of the schemes `slack` and `github` tell of revocations.");
  if (user !== null && (user.length < 1 || user.length > 256))
    say("/user", "A user has 1 to 256 characters.");
  const flaw = settingsFlaw(scheme);
  if (flaw !== null) say(`/scheme/${flaw.at}`, flaw.detail);
  if (!within(maxBodyBytes, 1, MAX_BODY_BYTES))
    say("/maxBodyBytes", `A body has at most ${MAX_BODY_BYTES} bytes.`);
  if (rate !== null && !within(rate.perMinute, 1, MAX_PER_MINUTE))
    say("/rate/perMinute", `A rate is 1 to ${MAX_PER_MINUTE} a minute.`);
  if (rate !== null && !within(rate.burst, 1, MAX_PER_MINUTE))
    say("/rate/burst", `A burst is 1 to ${MAX_PER_MINUTE}.`);
  if (headers.length > MAX_HEADERS) say("/headers", `A hook names at most ${MAX_HEADERS} headers.`);
  for (const [index, name] of headers.entries())
    if (!isHeaderName(name) || name !== name.toLowerCase())
      say(`/headers/${index}`, "This is not the name of a header in lower case.");
    else if (!maySee(scheme, name))
      say(`/headers/${index}`, "This header may prove who sends: no run sees it.");
  if (filter !== null) for (const { detail } of expressions.check(filter)) say("/filter", detail);
  if (input === undefined) return flaws;
  if (JSON.stringify(input).length > MAX_INPUT_CHARS)
    say("/input", `An input has at most ${MAX_INPUT_CHARS} characters.`);
  else for (const { pointer, detail } of expressions.checkTemplate(input)) say(`/input${pointer}`, detail);
  return flaws;
}

function within(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}
