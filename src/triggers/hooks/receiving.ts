/**
 * The way of one delivery: from the hook that it names to the run that it starts, and the line of the log that says so. Owns what
 * the isolate remembers of hooks, and the order of things. Does not own what becomes of a delivery (judging.ts), how a run is
 * started (a port), or the door (HTTP).
 *
 * - D1 a hook is remembered for less than HOOK_EFFECTIVE_MS: a change that another isolate made holds from then on, one that went
 *      through this isolate at once. What no secret proves that is remembered is judged by those that there are now, every few
 *      seconds: a service that was given the next secret does not wait for our memory.
 * - D2 the sender is told that it was taken once the run's object has the run: what dies before that is sent again, and what
 *      comes twice finds the run.
 * - D3 the log is told beside the answer, and never waited for. Of deliveries that nobody could prove, and of those that were refused
 *      or held back, an isolate tells a few of each: what was taken stays in it.
 * - D4 a run is started under the policies of who answers for the hook, and by nobody who may act no more.
 */
import {
  digestJson,
  describeError,
  type Logger,
  randomId,
  readBounded,
  type RunSource,
} from "../../platform/index.ts";
import type { Vault } from "../../vault/index.ts";
import { type DeliveryEntry, entryOf, isGenuine, type Outcome } from "../entries.ts";
import {
  answerOf,
  type Expressions,
  type Judged,
  judgeDelivery,
  MAX_BODY_BYTES,
  NOT_THERE,
  type Told,
} from "../judging.ts";
import type { Arrival } from "../schemes/scheme.ts";
import { type Maker, StartHeldBack, type Starter } from "../start-port.ts";
import type { Hook } from "./hook.ts";
import type { HookRpc } from "./hook-rpc.ts";
import type { Hooks, OpenSecret } from "./hooks.ts";
import { sealKept } from "./keeping.ts";
import { type Revocation, revocationOf } from "./revocations.ts";

/** The promise to whoever changes a hook, or ends a secret. */
export const HOOK_EFFECTIVE_MS = 60_000;
/** What is younger is not looked up anew because of a signature: anybody can send a wrong one. */
const LOOK_AGAIN_MS = 5_000;
/** Lines that an isolate tells of one hook's deliveries that nobody could prove, in a time; and as many of those that were not taken. */
const UNTAKEN_TOLD = 10;
const UNTAKEN_MS = 10_000;
/** Twice the hooks of which that is counted. */
const MAX_COUNTED = 1_000;

/** A hook, with what its deliveries are judged by. */
export interface KnownHook {
  readonly hook: Hook;
  readonly secrets: readonly OpenSecret[];
  readonly makerStands: boolean;
  /** When the database was asked, milliseconds since 1970. */
  readonly readAt: number;
}

/** What the isolate remembers, by tenant and name; null: there is none. One for each isolate. */
export interface SeenHooks {
  get(name: string, now: number): KnownHook | null | undefined;
  put(name: string, value: KnownHook | null, askedAt: number): void;
  forget(name: string): void;
  forgetWhere(goes: (value: KnownHook) => boolean): void;
}

export interface ReceivingDeps {
  readonly hooks: Pick<Hooks, "find" | "secretsOf" | "pause">;
  readonly seen: SeenHooks;
  readonly vault: () => Vault;
  readonly expressions: Expressions;
  readonly starter: Starter;
  /** One more delivery to a hook of the tenant. Null: it may come; else how long none may. */
  readonly deliver: (tenant: string) => Promise<{ readonly retryMs: number } | null>;
  readonly runIdOf: (source: RunSource) => Promise<string>;
  readonly makerStands: (tenant: string, maker: Maker, now: number) => Promise<boolean>;
  /** The object of a hook; a fresh stub each time. */
  readonly object: (tenant: string, hook: string) => HookRpc;
  /** Marks the connections of an integration whose access was taken back at the provider. @returns how many */
  readonly revoke: (tenant: string, integration: string, revocation: Revocation) => Promise<number>;
  /** Lets work go on after the answer. */
  readonly defer: (work: Promise<unknown>) => void;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** A request as it came to the door. */
export interface Incoming {
  readonly headers: Headers;
  readonly body: ReadableStream<Uint8Array> | null;
  readonly traceparent: string | null;
}

/** `again`: it could not be taken just now. */
export type Reception = Told | { readonly status: 503 };

/** How one delivery came to be judged. */
export interface Conclusion {
  readonly known: KnownHook;
  readonly arrival: Arrival;
  readonly judged: Judged;
  readonly about: Pick<DeliveryEntry, "at" | "bytes" | "by" | "again">;
  readonly maker: Maker;
  readonly traceparent: string | null;
}

export type Receiving = ReturnType<typeof createReceiving>;

export function createReceiving(deps: ReceivingDeps) {
  const { hooks, seen, log, now } = deps;
  const untaken = new Map<string, { since: number; told: number }>();

  /** D1. Null: there is none. Rejects while the database is away. */
  async function known(tenant: string, name: string): Promise<KnownHook | null> {
    const before = seen.get(seenKey(tenant, name), now());
    return before === undefined ? knownNow(tenant, name) : before;
  }

  /** As it stands in the database. What is remembered stays while that is away: a forged delivery takes it from nobody. */
  async function knownNow(tenant: string, name: string): Promise<KnownHook | null> {
    const key = seenKey(tenant, name);
    const askedAt = now();
    const found = await hooks.find(tenant, name);
    if (!found.ok) {
      seen.forget(key);
      seen.put(key, null, askedAt);
      return null;
    }
    const hook = found.value;
    const [secrets, makerStands] = await Promise.all([
      hooks.secretsOf(hook),
      deps.makerStands(tenant, hook.maker, askedAt),
    ]);
    const value = { hook, secrets, makerStands, readAt: askedAt };
    seen.put(key, value, askedAt);
    return value;
  }

  /** Does what was accepted, and tells the log. */
  async function conclude({ known, arrival, judged, about, maker, traceparent }: Conclusion) {
    const { hook } = known;
    const became =
      judged.outcome === "accepted" ? await carryOut(hook, judged, { maker, traceparent }) : null;
    const entry = entryOf(judged, about, became);
    const id = randomId("dlv");
    deps.defer(tell(hook, id, arrival, judged, entry));
    if (entry.code === "maker_revoked") deps.defer(pause(hook));
    return { id, entry, became };
  }

  async function carryOut(
    hook: Hook,
    { genuine, key, input }: Extract<Judged, { outcome: "accepted" }>,
    { maker, traceparent }: Pick<Conclusion, "maker" | "traceparent">,
  ): Promise<Outcome> {
    try {
      const taken = hook.revokes === null ? null : revocationOf(hook.scheme, genuine);
      const revoked =
        taken === null || hook.revokes === null ? 0 : await deps.revoke(hook.tenant, hook.revokes, taken);
      if (hook.workflow === null) return { kind: "done", run: null, revoked };
      const id = await deps.runIdOf({ tenant: hook.tenant, kind: "hook", id: hook.id, idempotencyKey: key });
      const started = await deps.starter.start({
        ...{ tenant: hook.tenant, id, maker, traceparent, user: hook.user },
        target: { workflow: hook.workflow, input, tags: [] },
        startedBy: `hook:${hook.name}`,
        // Not of the body: services write theirs anew between retries.
        bodyDigest: await digestJson(["hook.v1", hook.id, key]),
      });
      return started.kind === "started"
        ? { kind: "done", run: { id, existed: !started.created }, revoked }
        : { kind: "failed", code: "start_refused", detail: `${started.code}: ${started.message}` };
    } catch (error) {
      if (error instanceof StartHeldBack)
        return { kind: "failed", code: "quota_exceeded", detail: error.message, retryMs: error.retryMs };
      log.warn("hook.not_taken", { tenant: hook.tenant, hook: hook.id, error });
      return { kind: "failed", code: "unavailable", detail: describeError(error).name };
    }
  }

  /** D3. */
  async function tell(
    hook: Hook,
    id: string,
    arrival: Arrival,
    judged: Judged,
    entry: DeliveryEntry,
  ): Promise<void> {
    const { tenant, id: record } = hook;
    const isTaken = judged.outcome !== "refused" && judged.outcome !== "limited";
    // Apart, so that what anybody can send hides nothing that the service has.
    if (!isTaken && isEnough(`${record} ${isGenuine(entry) ? "own" : "unproven"}`)) return;
    try {
      const sealed = isWorthKeeping(judged, entry)
        ? await sealKept(deps.vault(), { tenant, hook: record, delivery: id }, hook, {
            ...{ at: entry.at, arrival, genuine: judged.genuine },
            key: judged.outcome === "accepted" ? judged.key : (judged.genuine.key ?? `line:${id}`),
          })
        : null;
      await deps.object(tenant, record).tell(tenant, { id, entry, sealed });
    } catch (error) {
      log.warn("hook.log_not_told", { tenant, hook: record, outcome: entry.outcome, error });
    }
  }

  function isEnough(whose: string): boolean {
    const count = untaken.get(whose);
    if (count === undefined || now() - count.since >= UNTAKEN_MS) {
      if (untaken.size >= MAX_COUNTED) untaken.clear();
      untaken.set(whose, { since: now(), told: 1 });
      return false;
    }
    count.told += 1;
    return count.told > UNTAKEN_TOLD;
  }

  async function pause(hook: Hook): Promise<void> {
    try {
      await hooks.pause(hook);
      seen.forget(seenKey(hook.tenant, hook.name));
    } catch (error) {
      log.warn("hook.not_paused", { tenant: hook.tenant, hook: hook.id, error });
    }
  }

  return {
    conclude,
    knownNow,

    /** What was changed here holds here at once (D1). */
    forget(tenant: string, name: string): void {
      seen.forget(seenKey(tenant, name));
    },

    /** Ids of keys that were revoked. */
    forgetMakers(keys: ReadonlySet<string>): void {
      seen.forgetWhere(({ hook: { maker } }) => keys.has(maker.actor.slice(maker.actor.indexOf(":") + 1)));
    },

    /** Never rejects. */
    async receive(tenant: string, name: string, incoming: Incoming): Promise<Reception> {
      try {
        const hook = await known(tenant, name);
        return hook === null ? NOT_THERE : await receiveAt(hook, incoming);
      } catch (error) {
        log.warn("hook.not_received", { tenant, name, error });
        return { status: 503 };
      }
    },
  };

  async function receiveAt(first: KnownHook, { headers, body, traceparent }: Incoming): Promise<Reception> {
    const at = now();
    const max = Math.min(first.hook.maxBodyBytes, MAX_BODY_BYTES);
    const read = await readBounded(body, max);
    const bytes = read.kind === "complete" ? read.bytes : new Uint8Array();
    const arrival: Arrival = { headers, body: bytes };
    let known = first;
    let judged: Judged =
      read.kind === "too_large"
        ? { outcome: "refused", code: "body_too_large" }
        : await judge(known, arrival, at);
    // D1.
    if (isUnproven(judged) && at - known.readAt >= LOOK_AGAIN_MS) {
      const { tenant, name } = known.hook;
      const anew = await knownNow(tenant, name);
      if (anew === null) return NOT_THERE;
      known = anew;
      judged = await judge(known, arrival, at);
    }
    // After the hook's own rate: what its sender may send is taken from nobody else's.
    if (judged.outcome === "accepted") {
      const held = await deps.deliver(known.hook.tenant);
      if (held !== null) judged = { outcome: "limited", genuine: judged.genuine, waitMs: held.retryMs };
    }
    const about = { at, bytes: read.kind === "complete" ? bytes.byteLength : max + 1 };
    const { maker } = known.hook;
    const { became } = await conclude({ known, arrival, judged, about, traceparent, maker });
    // D2.
    if (became?.kind === "failed" && became.code === "unavailable") return { status: 503 };
    if (became?.kind === "failed" && became.code === "quota_exceeded")
      return { status: 429, retryAfterS: Math.max(1, Math.ceil((became.retryMs ?? 0) / 1_000)) };
    return answerOf(judged);
  }

  function judge({ hook, secrets, makerStands }: KnownHook, arrival: Arrival, at: number): Promise<Judged> {
    return judgeDelivery(hook, activeAt(secrets, at), arrival, {
      ...{ expressions: deps.expressions, nowMs: at, makerStands },
      take: async (rate) => deps.object(hook.tenant, hook.id).take(hook.tenant, rate),
      unique: () => randomId("dlv"),
    });
  }
}

/** Another secret might prove it. */
function isUnproven(judged: Judged): boolean {
  return (
    judged.outcome === "refused" && (judged.code === "signature_wrong" || judged.code === "credentials_wrong")
  );
}

/** A secret that has ended since it was read proves nothing. */
export function activeAt(secrets: readonly OpenSecret[], at: number): readonly OpenSecret[] {
  return secrets.filter(({ until }) => until === null || until > at);
}

function seenKey(tenant: string, name: string): string {
  return `${tenant}/${name}`;
}

/** What a person may want to have delivered again: not what its run can be found of already. */
function isWorthKeeping(
  judged: Judged,
  { outcome, again }: DeliveryEntry,
): judged is Extract<Judged, { outcome: "accepted" | "filtered" | "failed" }> {
  const came = judged.outcome === "accepted" || judged.outcome === "filtered" || judged.outcome === "failed";
  return came && outcome !== "duplicate" && again === undefined;
}
