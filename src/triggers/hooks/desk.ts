/** All that doors can do with hooks: what is changed here holds in this isolate at once. */
import { err, ok, type Result } from "../../platform/index.ts";
import { createDelivering, type Delivering } from "./delivering.ts";
import type { Hook, HookDraft } from "./hook.ts";
import type { LoggedDelivery } from "./hook-rpc.ts";
import { type Asking, createHooks, type HookRefusal, type Hooks, type HooksDeps } from "./hooks.ts";
import type { SecretView } from "./hooks-store.ts";
import { secretFlaw } from "../schemes/verify.ts";
import {
  createReceiving,
  HOOK_EFFECTIVE_MS,
  type KnownHook,
  type Receiving,
  type ReceivingDeps,
} from "./receiving.ts";

export type DeskDeps = HooksDeps & Omit<ReceivingDeps, "hooks">;

export interface HookDesk
  extends
    Pick<Hooks, "find" | "list" | "change" | "remove" | "addSecret" | "endSecret" | "secretViews">,
    Pick<Receiving, "receive" | "forgetMakers">,
    Delivering {
  /** Milliseconds until what was changed holds everywhere. */
  readonly effectiveMs: number;
  /** With its secret, if one is given. */
  create(asking: Asking, name: string, draft: HookDraft, secret?: string): Promise<Result<Hook, HookRefusal>>;
  /** As it stands in the database; null: there is none. */
  knownNow(tenant: string, name: string): Promise<KnownHook | null>;
  /** The newest first, those before line `before`. */
  log(hook: Hook, before: number | null, limit: number): Promise<readonly LoggedDelivery[]>;
}

export function createHookDesk(deps: DeskDeps): HookDesk {
  const hooks = createHooks(deps);
  const receiving = createReceiving({ ...deps, hooks });
  async function fresh<T>({ tenant }: Asking, name: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } finally {
      receiving.forget(tenant, name);
    }
  }
  return {
    effectiveMs: HOOK_EFFECTIVE_MS,
    find: (tenant, name) => hooks.find(tenant, name),
    list: (tenant, after, limit) => hooks.list(tenant, after, limit),
    secretViews: (hook) => hooks.secretViews(hook),
    receive: (tenant, name, incoming) => receiving.receive(tenant, name, incoming),
    forgetMakers(keys) {
      receiving.forgetMakers(keys);
    },
    ...createDelivering(deps, receiving),

    create: async (asking, name, draft, secret) =>
      fresh(asking, name, async () => {
        const flaw = secret === undefined ? null : secretFlaw(draft.scheme, secret);
        if (flaw !== null) return err({ code: "flawed", flaws: [{ pointer: "/secret", detail: flaw }] });
        const made = await hooks.create(asking, name, draft);
        if (!made.ok || secret === undefined) return made;
        try {
          const added = await hooks.addSecret(asking, name, secret);
          return added.ok ? await hooks.find(asking.tenant, name) : added;
        } catch (error) {
          // Nobody was told of it: whoever tries again would find the name taken, by a hook that nothing opens.
          await hooks.remove(asking, name).catch((undone: unknown) => {
            deps.log.warn("hook.half_made", { tenant: asking.tenant, hook: made.value.id, error: undone });
          });
          throw error;
        }
      }),

    knownNow: (tenant, name) => receiving.knownNow(tenant, name),

    change: async (asking: Asking, name: string, version: number, draft: HookDraft) =>
      fresh(asking, name, async () => hooks.change(asking, name, version, draft)),

    async remove(asking: Asking, name: string): Promise<Result<Hook, HookRefusal>> {
      const gone = await fresh(asking, name, async () => hooks.remove(asking, name));
      if (!gone.ok) return gone;
      const { tenant, id } = gone.value;
      // A log that stays is in nobody's way: nothing leads to it.
      deps.defer(
        deps
          .object(tenant, id)
          .forget(tenant)
          .catch((error: unknown) => {
            deps.log.warn("hook.log_not_forgotten", { tenant, hook: id, error });
          }),
      );
      return ok(gone.value);
    },

    addSecret: async (
      asking: Asking,
      name: string,
      given: string,
    ): Promise<Result<SecretView, HookRefusal>> =>
      fresh(asking, name, async () => hooks.addSecret(asking, name, given)),

    endSecret: async (asking: Asking, name: string, secret: string, until: number) =>
      fresh(asking, name, async () => hooks.endSecret(asking, name, secret, until)),

    log: async ({ tenant, id }, before, limit) => deps.object(tenant, id).log(tenant, before, limit),
  };
}
