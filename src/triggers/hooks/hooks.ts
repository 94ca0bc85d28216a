/**
 * Hooks as a tenant manages them, and their secrets as deliveries need them. Owns the order of checks, audit and writes; the
 * tables are the store's. Whether the caller may is the door's to ask.
 *
 * - G1 the audit says what is to be done before it is done.
 * - G2 a secret is sealed before it is kept, and no answer but `secretsOf` holds one.
 * - G3 a hook and its secrets are reached by the tenant's own id only.
 * - G4 whoever has given a hook a secret can be the sender of what comes, whoever answers for the hook by then: its maker says so.
 */
import { type AuditSink, err, type Logger, ok, randomId, type Result } from "../../platform/index.ts";
import type { Vault } from "../../vault/index.ts";
import type { Secret } from "../schemes/scheme.ts";
import { secretFlaw } from "../schemes/verify.ts";
import type { Maker } from "../start-port.ts";
import { type ExpressionCheck, type Hook, type HookDraft, type HookFlaw, hookFlaws } from "./hook.ts";
import {
  deleteHook,
  endSecret,
  insertHook,
  insertSecret,
  pauseHook,
  type SecretView,
  secretPlace,
  selectHook,
  selectHooks,
  selectSecrets,
  updateHook,
} from "./hooks-store.ts";

/** That are remembered: more than a hook has secrets in its life. */
const MAX_KNOWING = 64;

export interface HooksDeps {
  readonly db: D1Database;
  readonly vault: () => Vault;
  readonly expressions: ExpressionCheck;
  readonly audit: AuditSink;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Who asks: for the audit, and to answer for what the hook starts from then on. */
export interface Asking {
  readonly tenant: string;
  readonly maker: Maker;
}

/** A secret for deliveries, until its end. */
export interface OpenSecret extends Secret {
  /** Milliseconds since 1970; null: it has none. */
  readonly until: number | null;
}

export type HookRefusal =
  | { readonly code: "flawed"; readonly flaws: readonly HookFlaw[] }
  /** `conflict`: the name is taken, or it was changed meanwhile. `too_many`: of hooks. */
  | { readonly code: "not_found" | "conflict" | "too_many" };

export type Hooks = ReturnType<typeof createHooks>;

export function createHooks({ db, vault, expressions, audit, log, now }: HooksDeps) {
  /** G1. */
  const tell = async (
    { tenant, maker: { actor } }: Asking,
    action: string,
    target: string,
  ): Promise<number> => {
    const at = now();
    await audit.write({ at, tenant, actor, action, target, outcome: "granted", detail: {} });
    return at;
  };
  const found = async (tenant: string, name: string): Promise<Result<Hook, HookRefusal>> => {
    const hook = await selectHook(db, tenant, name);
    return hook === null ? err({ code: "not_found" }) : ok(hook);
  };

  return {
    find: found,

    list: (tenant: string, after: string, limit: number): Promise<Hook[]> =>
      selectHooks(db, tenant, after, limit),

    async create(asking: Asking, name: string, draft: HookDraft): Promise<Result<Hook, HookRefusal>> {
      const flaws = hookFlaws(draft, expressions);
      if (flaws.length > 0) return err({ code: "flawed", flaws });
      const at = await tell(asking, "hook.create", name);
      const hook: Hook = {
        ...draft,
        ...{ tenant: asking.tenant, name, id: randomId("hook"), version: 1 },
        ...{ createdAt: at, createdBy: asking.maker.actor, updatedAt: at },
        ...{ maker: asking.maker, pausedReason: null },
      };
      if (await insertHook(db, hook)) return ok(hook);
      return err({ code: (await selectHook(db, asking.tenant, name)) === null ? "too_many" : "conflict" });
    },

    /** @param version of the hook that the draft was made from */
    async change(
      asking: Asking,
      name: string,
      version: number,
      draft: HookDraft,
    ): Promise<Result<Hook, HookRefusal>> {
      const before = await found(asking.tenant, name);
      if (!before.ok) return before;
      // Secrets of one scheme are none of another; for that, a hook is made anew.
      const flaws = [
        ...hookFlaws(draft, expressions),
        ...(draft.scheme.scheme === before.value.scheme.scheme
          ? []
          : [{ pointer: "/scheme/scheme", detail: "The scheme of a hook stays as it is." }]),
      ];
      if (flaws.length > 0) return err({ code: "flawed", flaws });
      if (before.value.version !== version) return err({ code: "conflict" });
      const at = await tell(asking, "hook.change", name);
      const { also } = before.value.maker;
      const maker = { ...asking.maker, ...(also === undefined ? {} : { also }) };
      const after = await updateHook(db, before.value, draft, { maker, now: at });
      return after === null ? err({ code: "conflict" }) : ok(after);
    },

    /** Because who answers for it may act no more. */
    async pause(hook: Hook): Promise<void> {
      const { tenant, name, maker } = hook;
      const at = await tell({ tenant, maker: { ...maker, actor: "system" } }, "hook.pause", name);
      if (await pauseHook(db, hook, at))
        log.warn("hook.paused", { tenant, hook: hook.id, maker: maker.actor });
    },

    async remove(asking: Asking, name: string): Promise<Result<Hook, HookRefusal>> {
      const hook = await found(asking.tenant, name);
      if (!hook.ok) return hook;
      await tell(asking, "hook.delete", name);
      return (await deleteHook(db, hook.value)) ? hook : err({ code: "not_found" });
    },

    /** Beside those that are there: both are accepted until the older one is ended. Rejects while nothing can be sealed. */
    async addSecret(asking: Asking, name: string, given: string): Promise<Result<SecretView, HookRefusal>> {
      const hook = await found(asking.tenant, name);
      if (!hook.ok) return hook;
      const flaw = secretFlaw(hook.value.scheme, given);
      if (flaw !== null) return err({ code: "flawed", flaws: [{ pointer: "/secret", detail: flaw }] });
      const id = randomId("sec");
      const at = await tell(asking, "hook.secret.add", name);
      // G2.
      const sealed = await vault().seal(secretPlace(asking.tenant, hook.value.id, id), given);
      const view = { id, madeAt: at, until: null };
      const kept = await insertSecret(
        db,
        hook.value,
        { ...view, sealed },
        { kid: vault().active, maker: knowing(hook.value, asking.maker) },
      );
      return kept ? ok(view) : err({ code: "conflict" });
    },

    /** @param until milliseconds since 1970; what is past ends it now */
    async endSecret(
      asking: Asking,
      name: string,
      secret: string,
      until: number,
    ): Promise<Result<null, HookRefusal>> {
      const hook = await found(asking.tenant, name);
      if (!hook.ok) return hook;
      await tell(asking, "hook.secret.end", name);
      return (await endSecret(db, hook.value, secret, until)) ? ok(null) : err({ code: "not_found" });
    },

    async secretViews(hook: Hook): Promise<SecretView[]> {
      const secrets = await selectSecrets(db, hook, now());
      return secrets.map(({ id, madeAt, until }) => ({ id, madeAt, until }));
    },

    /**
     * The active secrets, for verifying deliveries. One that does not open is logged and left out: what it would prove is
     * refused, and what the others prove goes on.
     */
    async secretsOf(hook: Hook): Promise<OpenSecret[]> {
      const secrets: OpenSecret[] = [];
      for (const { id, sealed, until } of await selectSecrets(db, hook, now())) {
        const { tenant } = hook;
        const opened = await vault().open(secretPlace(tenant, hook.id, id), sealed);
        if (opened.ok) secrets.push({ id, text: opened.value, until });
        else
          log.error("hook.secret_not_opened", { tenant, hook: hook.id, secret: id, code: opened.error.code });
      }
      return secrets;
    },
  };
}

/** G4. Who answers for a hook once they have given it a secret. */
function knowing({ maker: { also = [] } }: Hook, maker: Maker): Maker {
  return { ...maker, also: [...new Set([...also, maker.actor])].slice(-MAX_KNOWING) };
}
