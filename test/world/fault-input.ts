/** Fault rules from outside (the control API, the command line): checked whole before any of them counts. */
import {
  checkFields,
  flag,
  fraction,
  isRecord,
  oneOf,
  optional,
  text,
  whole,
  type FieldError,
  type Fields,
} from "./fields.ts";
import { MAX_FAULT_RULES, type Fault, type FaultKind, type FaultRule } from "./faults.ts";

const MAX_WAIT_MS = 60 * 60 * 1000;
const MAX_HUGE_BYTES = 4 * 1024 ** 3;
const MAX_SECONDS = 366 * 24 * 60 * 60;
const MAX_COUNT = 1_000_000_000;

const RULE: Fields = {
  service: optional(text()),
  method: optional(oneOf("GET", "POST", "PUT", "PATCH", "DELETE")),
  path: optional(text()),
  reference: optional(text()),
  key: optional(text()),
  skip: optional(whole(0, MAX_COUNT)),
  times: optional(whole(0, MAX_COUNT)),
  probability: optional(fraction()),
  fault: (value) => (isRecord(value) ? null : "must be a fault, an object with a kind"),
};

const FAULTS: Record<FaultKind, Fields> = {
  status: {
    status: whole(200, 599),
    after: optional(flag()),
    retryAfterSeconds: optional(whole(0, MAX_SECONDS)),
    retryAfterDateSeconds: optional(whole(0, MAX_SECONDS)),
  },
  accept_then_timeout: {},
  lost_answer: {},
  reset: {},
  slow: { ms: whole(0, MAX_WAIT_MS) },
  late: { ms: whole(0, MAX_WAIT_MS) },
  garbage: { form: optional(oneOf("text", "cut_json", "cut_transfer")) },
  huge: { bytes: whole(1, MAX_HUGE_BYTES), gzip: optional(flag()) },
  redirect: { to: text(2_000), status: optional(whole(300, 399)) },
};

export type FaultInput = { kind: "rules"; rules: FaultRule[] } | { kind: "wrong"; errors: FieldError[] };

/** One rule or a list of them. */
export function parseFaultRules(input: unknown): FaultInput {
  const list: unknown[] = Array.isArray(input) ? input : [input];
  const errors: FieldError[] = [];
  if (list.length > MAX_FAULT_RULES) errors.push({ pointer: "", detail: `at most ${MAX_FAULT_RULES} rules` });
  const rules: FaultRule[] = [];
  for (const [index, rule] of list.entries()) {
    const found = ruleErrors(rule).map((error) => ({ ...error, pointer: `/${index}${error.pointer}` }));
    if (found.length > 0) errors.push(...found);
    // Every field was checked just above.
    else rules.push(rule as FaultRule);
  }
  return errors.length > 0 ? { kind: "wrong", errors } : { kind: "rules", rules };
}

function ruleErrors(rule: unknown): FieldError[] {
  if (!isRecord(rule)) return [{ pointer: "", detail: "must be a rule, an object with a fault" }];
  const errors = [...checkFields(RULE, rule), ...unknownFields(Object.keys(RULE), rule)];
  if (!isRecord(rule["fault"])) return errors;
  return [
    ...errors,
    ...faultErrors(rule["fault"]).map((error) => ({ ...error, pointer: `/fault${error.pointer}` })),
  ];
}

function faultErrors(fault: Record<string, unknown>): FieldError[] {
  const kind = fault["kind"];
  if (!isFaultKind(kind))
    return [{ pointer: "/kind", detail: `must be one of ${Object.keys(FAULTS).join(", ")}` }];
  return [
    ...checkFields(FAULTS[kind], fault),
    ...unknownFields(["kind", ...Object.keys(FAULTS[kind])], fault),
  ];
}

function isFaultKind(kind: unknown): kind is Fault["kind"] {
  return typeof kind === "string" && Object.hasOwn(FAULTS, kind);
}

function unknownFields(known: readonly string[], object: Record<string, unknown>): FieldError[] {
  return Object.keys(object).flatMap((name) =>
    known.includes(name) ? [] : [{ pointer: `/${name}`, detail: "is not known here" }],
  );
}
