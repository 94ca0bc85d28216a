/** Calls, scopes and surroundings for tests of actions and definitions. */
import type {
  ActionCall,
  ActionScope,
  ChildrenPort,
  CodePort,
  LendPort,
  Credential,
  Surroundings,
} from "../../src/actions/index.ts";
import type { Json, RunInfo, StepDef } from "../../src/kernel/index.ts";
import { createLogger, type EgressRequest, type EgressResult } from "../../src/platform/index.ts";

export const NOW = Date.parse("2026-12-01T10:00:00Z");
export const TOKEN = "sk-secret-0123456789";

export const RUN: RunInfo = {
  id: "run_test",
  tenant: "default",
  workflow: "t",
  version: "1",
  user: null,
  startedBy: "key:test",
  open: false,
  tags: [],
  traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
};

export function scope(more: Partial<ActionScope> & { steps?: Record<string, Json> } = {}): ActionScope {
  const { steps = {}, ...rest } = more;
  return {
    input: () => ({}),
    step: (name) =>
      name in steps
        ? {
            status: "succeeded",
            output: steps[name] ?? null,
            failure: null,
            attempts: 1,
            startedAt: NOW,
            endedAt: NOW,
          }
        : null,
    visible: () => Object.keys(steps),
    leaves: () => Object.keys(steps),
    item: () => null,
    index: -1,
    own: () => null,
    iteration: 0,
    key: "run_test.s.g0",
    failure: null,
    run: { id: RUN.id, user: null, now: NOW },
    ...rest,
  };
}

export function stepDef(more: Partial<StepDef> = {}): StepDef {
  return {
    name: "s",
    kind: "call",
    part: "main",
    action: "http",
    with: null,
    effect: "safe",
    retry: { attempts: 1, initialMs: 0, factor: 1, capMs: 0, jitter: "none", maxElapsedMs: 0 },
    timeoutMs: 1_000,
    keyTtlMs: 1_000,
    needs: [],
    join: "all",
    unknownLimitMs: 1_000,
    ...more,
  };
}

export function call(more: Partial<ActionCall> = {}): ActionCall {
  const effect = more.effect ?? "safe";
  return {
    run: RUN,
    generation: 0,
    unit: { step: "s" },
    attempt: 1,
    def: stepDef({ effect }),
    action: "http",
    effect,
    with: null,
    key: effect === "keyed" ? "run_test.s.g0" : null,
    timeoutMs: 1_000,
    maybe: false,
    child: null,
    makers: [],
    scope: scope(),
    signal: new AbortController().signal,
    sent: () => {},
    ...more,
  };
}

export const NO_CODE: CodePort = {
  step: () => null,
  answer: () => null,
  growth: () => ({ ok: false, message: "no growth here" }),
};

export const NO_CONNECTIONS: LendPort = async () => ({
  kind: "cannot",
  code: "connection_unknown",
  message: "There are no connections here.",
  hint: "Name none.",
});

export const NO_CHILDREN: ChildrenPort = {
  start: async () => ({ kind: "refused", code: "child_failed", message: "no children here" }),
  look: async () => ({ kind: "refused", code: "child_failed", message: "no children here" }),
};

export interface Outside extends Surroundings {
  /** Every request that would have left, oldest first. */
  readonly requests: EgressRequest[];
  readonly lines: string[];
}

type Scripted = (request: EgressRequest) => EgressResult;

/** Surroundings whose outside answers as scripted. The token is lent to `api.skyline.example` only. */
export function outside(answer: Scripted, code: Partial<CodePort> = {}): Outside {
  const requests: EgressRequest[] = [];
  const lines: string[] = [];
  return {
    requests,
    lines,
    egress: async (request) => {
      requests.push(request);
      const result = answer(request);
      if (result.kind === "answered" || (result.kind === "failed" && result.sent)) request.onSend?.();
      return result;
    },
    credential: async (_, host): Promise<Credential> =>
      host === "api.skyline.example"
        ? { ok: true, header: "authorization", value: `Bearer ${TOKEN}`, secrets: [TOKEN] }
        : {
            ok: false,
            failure: { code: "egress_blocked", message: "Not for this host.", hint: "No.", retryable: false },
          },
    lend: NO_CONNECTIONS,
    code: { ...NO_CODE, ...code },
    policy: async () => ({ kind: "allowed", approval: false }),
    holdingPolicy: async () => ({ kind: "allowed", approval: false }),
    children: NO_CHILDREN,
    log: createLogger("debug", (_, line) => void lines.push(line)),
    now: () => NOW,
  };
}

/** An answer with a body: text as it is, anything else as JSON. */
export function answered(
  status: number,
  body: unknown = null,
  headers: Record<string, string> = {},
): EgressResult {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const type = typeof body === "string" ? "text/plain" : "application/json";
  return {
    kind: "answered",
    status,
    headers: { "content-type": type, ...headers },
    body: new TextEncoder().encode(body === null ? "" : text),
    redirects: 0,
  };
}
