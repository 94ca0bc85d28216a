/** What a request for a role asks for, checked as AWS's token service checks it before it looks at who asks. */
import type { Clouds } from "./cloud.ts";
import { readPolicy, type Policy } from "./iam.ts";
import type { Trusted } from "./trust.ts";

const MIN_SECONDS = 900;
const DEFAULT_SECONDS = 3_600;
const MAX_POLICY_CHARS = 2_048;
const MAX_POLICY_ARNS = 10;

/** An error with AWS's own code. */
export class Refused extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export interface Asked {
  readonly role: Trusted<"aws_role">;
  readonly name: string;
  readonly seconds: number;
  readonly policies: readonly Policy[];
  readonly packed: number;
}

/** Null: there is no such role, which the caller is not told (`AccessDenied`). */
export function readAsked(clouds: Clouds, form: URLSearchParams): Asked | null {
  const invalid = (message: string): Refused => new Refused("ValidationError", message);
  if (form.get("Version") !== "2011-06-15") throw new Refused("InvalidAction", "Version must be 2011-06-15");
  const arn = form.get("RoleArn") ?? "";
  if (!/^arn:aws:iam::\d{12}:role\/.+$/.test(arn)) throw invalid(`${arn} is invalid`);
  const name = form.get("RoleSessionName") ?? "";
  if (!/^[\w+=,.@-]{2,64}$/.test(name))
    throw invalid(
      String.raw`Value at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]*`,
    );
  const seconds = Number(form.get("DurationSeconds") ?? DEFAULT_SECONDS);
  if (!Number.isInteger(seconds) || seconds < MIN_SECONDS)
    throw invalid(
      `Value '${seconds}' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900`,
    );
  const { policies, packed } = readPolicies(clouds, form);
  const role = clouds.trust.list("aws_role").find((one) => one.arn === arn);
  return role === undefined ? null : { role, name, seconds, policies, packed };
}

function readPolicies(
  { trust }: Clouds,
  form: URLSearchParams,
): { readonly policies: readonly Policy[]; readonly packed: number } {
  const inline = form.get("Policy");
  if (inline !== null && inline.length > MAX_POLICY_CHARS)
    throw new Refused(
      "ValidationError",
      "Value at 'policy' failed to satisfy constraint: Member must have length less than or equal to 2048",
    );
  const inlinePolicy = inline === null ? null : readPolicy(inline);
  if (inline !== null && inlinePolicy === null)
    throw new Refused("MalformedPolicyDocument", "The policy is not in the valid JSON format.");
  const arns = [...form].flatMap(([name, value]) =>
    /^PolicyArns\.member\.\d+\.arn$/.test(name) ? [value] : [],
  );
  if (arns.length > MAX_POLICY_ARNS)
    throw new Refused("ValidationError", "Value at 'policyArns' must have length less than or equal to 10");
  const documents = arns.map((arn) => {
    const policy = trust.list("aws_policy").find((one) => one.arn === arn);
    if (policy === undefined) throw new Refused("ValidationError", `Policy arn ${arn} does not exist`);
    return policy.document;
  });
  // How AWS packs is not published: the world takes what the texts need of what they may have.
  const packed = Math.ceil((100 * ((inline?.length ?? 0) + arns.join("").length)) / MAX_POLICY_CHARS);
  if (packed > 100)
    throw new Refused(
      "PackedPolicyTooLarge",
      `Packed size of session tags and policies is ${packed}% of the limit`,
    );
  return { policies: [...(inlinePolicy === null ? [] : [inlinePolicy]), ...documents], packed };
}
