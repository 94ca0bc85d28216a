/** What a person has delivered: a delivery of the log anew, or a test. Both go the way of any other, but for the signature of the first. */
import { err, ok, type Result } from "../../platform/index.ts";
import { type DeliveryEntry, entryOf } from "../entries.ts";
import { evaluateDelivery, judgeDelivery, type Judged, redeliveryKey } from "../judging.ts";
import type { Arrival } from "../schemes/scheme.ts";
import { makeDelivery, tellsEventInHeader } from "../schemes/verify.ts";
import type { Asking } from "./hooks.ts";
import { openKept } from "./keeping.ts";
import { activeAt, type KnownHook, type Receiving, type ReceivingDeps } from "./receiving.ts";

export interface Delivered {
  /** Of its line in the log; null: it was only judged. */
  readonly id: string | null;
  readonly entry: DeliveryEntry;
  /** What the input of the run is, or would be; undefined: there is none. */
  readonly judged: Judged;
}

export type DeliveringRefusal =
  | "not_found"
  /** Its body is not kept (any more), or does not open. */
  | "body_gone"
  /** Or who answers for it may act no more. */
  | "paused"
  /** No secret of the hook makes deliveries. */
  | "no_secret"
  /** No header of the scheme can say what the test tells of. */
  | "event_in_body";

export interface TestDraft {
  readonly id: string;
  readonly event: string | null;
  readonly body: Uint8Array;
  readonly contentType: string;
  readonly headers: Readonly<Record<string, string>>;
  /** False: it is only judged. */
  readonly isStarted: boolean;
}

export type Delivering = ReturnType<typeof createDelivering>;

export function createDelivering(
  deps: Pick<ReceivingDeps, "vault" | "object" | "expressions" | "now" | "log">,
  receiving: Pick<Receiving, "conclude">,
) {
  const { expressions, now, log } = deps;
  /** Under the policies of both: who asks gets no further than who answers for the hook, nor the other way. */
  const makerOf = ({ hook }: KnownHook, { maker }: Asking) => ({
    ...hook.maker,
    policies: [...hook.maker.policies, ...maker.policies],
    also: [...(hook.maker.also ?? []), maker.actor],
  });

  return {
    /** @param number of one delivery, each is a run of its own; the same twice is one run */
    async again(
      asking: Asking,
      known: KnownHook,
      delivery: string,
      number: number,
    ): Promise<Result<Delivered, DeliveringRefusal>> {
      const { hook, makerStands } = known;
      const found = await deps.object(hook.tenant, hook.id).find(hook.tenant, delivery);
      if (found === null) return err("not_found");
      if (hook.paused || !makerStands) return err("paused");
      if (found.sealed === null) return err("body_gone");
      const where = { tenant: hook.tenant, hook: hook.id, delivery };
      const kept = await openKept(deps.vault(), where, found.sealed);
      if (!kept.ok) {
        log.error("hook.body_not_opened", { ...where, code: kept.error });
        return err("body_gone");
      }
      const { arrival, genuine, key, at } = kept.value;
      const judged = evaluateDelivery(hook, arrival, genuine, redeliveryKey(key, number), {
        ...{ expressions, nowMs: at },
      });
      const about = { at: now(), bytes: found.entry.bytes, by: asking.maker.actor, again: delivery };
      return ok(await concluded(known, asking, { arrival, judged, about }));
    },

    /** Signed with the newest secret of the hook that can sign, and judged as what comes from outside. */
    async test(
      asking: Asking,
      known: KnownHook,
      draft: TestDraft,
    ): Promise<Result<Delivered, DeliveringRefusal>> {
      const { hook, makerStands } = known;
      const at = now();
      if (draft.event !== null && !tellsEventInHeader(hook.scheme)) return err("event_in_body");
      const secrets = activeAt(known.secrets, at);
      const signed = await signedWithOneOf(known, draft, at);
      if (signed === null) return err("no_secret");
      const headers = new Headers({ ...draft.headers, "content-type": draft.contentType });
      for (const [name, value] of Object.entries(signed)) headers.set(name, value);
      const arrival: Arrival = { headers, body: draft.body };
      const judged = await judgeDelivery(hook, secrets, arrival, {
        ...{ expressions, nowMs: at, makerStands },
        // A test takes nothing of what the service may send.
        take: async () => 0,
        unique: () => draft.id,
      });
      const about = { at, bytes: draft.body.byteLength, by: asking.maker.actor };
      if (!draft.isStarted) return ok({ id: null, entry: entryOf(judged, about, null), judged });
      return ok(await concluded(known, asking, { arrival, judged, about }));
    },
  };

  /** As one that came from outside, but for who answers for it, and the trace that it has none of. */
  async function concluded(
    known: KnownHook,
    asking: Asking,
    one: Pick<Parameters<Receiving["conclude"]>[0], "arrival" | "judged" | "about">,
  ): Promise<Delivered> {
    const maker = makerOf(known, asking);
    const { id, entry } = await receiving.conclude({ ...one, known, maker, traceparent: null });
    return { id, entry, judged: one.judged };
  }

  async function signedWithOneOf(
    { hook, secrets }: KnownHook,
    { id, event, body }: TestDraft,
    at: number,
  ): Promise<Record<string, string> | null> {
    for (const { text } of activeAt(secrets, at)) {
      try {
        return await makeDelivery(hook.scheme, { id, event, sentAt: at, body }, text);
      } catch (error) {
        // A public key signs nothing; an id that the scheme cannot carry is no secret's fault.
        if (!(error instanceof TypeError)) throw error;
      }
    }
    return null;
  }
}
