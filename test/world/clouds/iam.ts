/**
 * The part of AWS's policy language that trust, permissions and session policies of the world are written in. What is not
 * known here is refused when a policy is read, never passed over.
 *
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html: an explicit Deny wins, then an
 * Allow, else nothing is allowed.
 */
import * as z from "zod";

const OneOrMore = z
  .union([z.string(), z.array(z.string())])
  .transform((it) => (Array.isArray(it) ? it : [it]));

interface Principal {
  Federated?: string[] | undefined;
  AWS?: string[] | undefined;
}

const OPERATORS = [
  "StringEquals",
  "StringNotEquals",
  "StringLike",
  "StringNotLike",
  "ForAnyValue:StringEquals",
  "ForAnyValue:StringLike",
  "ForAllValues:StringEquals",
  "ForAllValues:StringLike",
] as const;

const Statement = z.strictObject({
  Sid: z.string().optional(),
  Effect: z.enum(["Allow", "Deny"]),
  Principal: z
    .union([
      z.literal("*").transform((): Principal => ({ AWS: ["*"] })),
      z.strictObject({ Federated: OneOrMore.optional(), AWS: OneOrMore.optional() }),
    ])
    .optional(),
  Action: OneOrMore,
  Resource: OneOrMore.optional(),
  Condition: z.partialRecord(z.enum(OPERATORS), z.record(z.string(), OneOrMore)).optional(),
});

export const Policy = z.strictObject({
  Version: z.literal("2012-10-17"),
  Id: z.string().optional(),
  Statement: z.union([Statement.transform((it) => [it]), z.array(Statement).min(1)]),
});

export type Policy = z.output<typeof Policy>;
type Statement = z.output<typeof Statement>;

export interface Attempt {
  readonly action: string;
  readonly resource?: string;
  readonly principal?: { readonly Federated: string } | { readonly AWS: readonly string[] };
  /** By condition key. */
  readonly context?: Readonly<Record<string, readonly string[]>>;
}

export function allows(policy: Policy, attempt: Attempt): boolean {
  const applying = policy.Statement.filter((statement) => applies(statement, attempt));
  return applying.length > 0 && applying.every(({ Effect }) => Effect === "Allow");
}

/** Text of a policy as a request carries it; null if it is none. */
export function readPolicy(text: string): Policy | null {
  try {
    return Policy.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

function applies(statement: Statement, { action, resource, principal, context }: Attempt): boolean {
  if (!statement.Action.some((one) => like(one.toLowerCase(), action.toLowerCase()))) return false;
  if (resource !== undefined && statement.Resource?.some((one) => like(one, resource)) !== true) return false;
  if (principal !== undefined && !isPrincipal(statement.Principal, principal)) return false;
  return Object.entries(statement.Condition ?? {}).every(([operator, keys]) =>
    Object.entries(keys).every(([key, wanted]) => holds(operator, wanted, valueOf(context ?? {}, key))),
  );
}

function isPrincipal(stated: Principal | undefined, given: NonNullable<Attempt["principal"]>): boolean {
  if ("Federated" in given) return stated?.Federated?.includes(given.Federated) === true;
  return stated?.AWS?.some((one) => one === "*" || given.AWS.includes(one)) === true;
}

/** Condition keys know no upper case. */
function valueOf(context: Readonly<Record<string, readonly string[]>>, key: string): readonly string[] {
  return Object.entries(context).find(([name]) => name.toLowerCase() === key.toLowerCase())?.[1] ?? [];
}

function holds(operator: string, wanted: readonly string[], given: readonly string[]): boolean {
  const name = operator.replace(/^For(?:Any|All)Values?:/, "");
  const matches = (value: string): boolean =>
    wanted.some((one) => (name.endsWith("Like") ? like(one, value) : one === value));
  if (operator.startsWith("ForAllValues:")) return given.every(matches);
  if (name.startsWith("StringNot")) return !given.some(matches);
  return given.some(matches);
}

/** `*` is any text and `?` any one character. */
function like(pattern: string, text: string): boolean {
  const source = pattern.replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`);
  return new RegExp(`^${source.replaceAll("*", ".*").replaceAll("?", ".")}$`, "s").test(text);
}
