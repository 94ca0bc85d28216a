/**
 * The run object: one SQLite Durable Object per run. It answers callers.
 *
 * Owns: what can be asked of a run, over RPC.
 * Does not own: the life that answers (`lives.ts`), what happens in a run (kernel), the order of a turn (driver), what an
 * attempt does (wiring).
 */

import { DurableObject } from "cloudflare:workers";
import type { RunDriver } from "../driver/index.ts";
import {
  isIdle,
  parseUnitName,
  refOf,
  signalOfEvent,
  stepOf,
  unitOf,
  type Input,
  type RunInfo,
  type RunState,
} from "../kernel/index.ts";
import { armCrashPoint, crashPoint } from "../platform/index.ts";
import { checkLink, findApproval, pendingApprovals } from "./approvals.ts";
import { commandDriver, isForStarter } from "./commands.ts";
import { explainFailing, explainRun, explainSealed } from "./explain/explain.ts";
import type { Explanation } from "./explain/explanation.ts";
import { exportBatch, type ExportSource } from "./exporting.ts";
import { graphPart } from "./graph-part.ts";
import { Descendants } from "./descendants.ts";
import { standingTo } from "./hearing.ts";
import type { EraseRun, EraseRunAnswer } from "./erasing.ts";
import { aliveOf, DELETED, Lives, NOT_FOUND, type Refused, RUN_ERASED } from "./lives.ts";
import type { RunWiring } from "./ports.ts";
import type {
  Answer,
  ApprovalAddress,
  ApprovalView,
  Command,
  Decide,
  EventsPage,
  EventView,
  ExportBatch,
  ExportStart,
  RunReport,
  RunRpc,
  RunView,
  StartedRun,
  StartRequest,
  StepView,
  Viewer,
} from "./rpc.ts";
import { hasSensitive, type Life } from "./life.ts";
import { sealedBatch, sealedEvents } from "./sealed.ts";
import { viewRow, viewRun, viewStep, type Showing } from "./view.ts";

const MAX_EVENTS = 1_000;

const USER_BEING_ERASED: Refused = {
  ok: false,
  code: "user_being_erased",
  message: "The data of this user are being erased: nothing is started for them until that is done.",
};

export abstract class WiredRunObject extends DurableObject<Env> implements RunRpc {
  readonly #lives: Lives;
  readonly #descendants: Descendants;
  readonly #isErasing: RunWiring["isErasing"];

  protected constructor(ctx: DurableObjectState, env: Env, wiring: RunWiring) {
    super(ctx, env);
    if (CRASH_POINTS) armCrashPoint(env.CRASH_AT);
    this.#lives = new Lives(ctx, wiring);
    this.#descendants = new Descendants(ctx.storage);
    this.#isErasing = wiring.isErasing;
  }

  async start(request: StartRequest): ReturnType<RunRpc["start"]> {
    const { id, tenant, bodyDigest, graph, input } = request;
    // Who starts a child is the run that waits for it.
    const viewer: Viewer = { tenant, reveal: request.parent !== undefined };
    const before = await this.#startedBefore(viewer, bodyDigest);
    if (before !== null) return before;
    const refused = await this.#refusedFor(request);
    if (refused !== null) return (await this.#startedBefore(viewer, bodyDigest)) ?? refused;
    const key = isConfidential(request) ? await this.#lives.key.make({ tenant, id }) : null;
    if (key !== null && "ok" in key) return key;
    // While somebody was asked, or the key was made, the same may have been started.
    const meanwhile = await this.#startedBefore(viewer, bodyDigest);
    if (meanwhile !== null) return meanwhile;
    const begun = await this.#lives.begin({ tenant, id, bodyDigest }, key, (driver) =>
      driver.start(runInfoOf(request), graph, input),
    );
    if (!begun.ok) return { ok: false, ...begun.refusal };
    const { life } = begun;
    return { ok: true, value: { created: true, view: shown(life, viewer), ...this.#listing(life) } };
  }

  /** Nothing is started for a user whose data are being erased: the one place that every start goes through. */
  async #refusedFor({ tenant, user, parent }: StartRequest): Promise<Refused | null> {
    // What is above a child is ended, and the child with it.
    if (user === null || parent !== undefined || this.#isErasing === undefined) return null;
    return (await this.#isErasing(tenant, user)) ? USER_BEING_ERASED : null;
  }

  async startedBefore(tenant: string, bodyDigest: string): Promise<Answer<StartedRun> | null> {
    return this.#startedBefore({ tenant }, bodyDigest);
  }

  async #startedBefore(viewer: Viewer, bodyDigest: string): Promise<Answer<StartedRun> | null> {
    const { meta } = this.#lives;
    if (meta === null) return null;
    if (meta.tenant !== viewer.tenant) return NOT_FOUND;
    if (meta.deletedUntil !== undefined) return DELETED;
    if (meta.erased !== undefined) return RUN_ERASED;
    if (meta.bodyDigest !== bodyDigest) {
      return {
        ok: false,
        code: "idempotency_mismatch",
        message: "A run was started with this idempotency key and another body.",
      };
    }
    const there = await this.view(viewer);
    const life = await this.#lives.current();
    if (there.ok)
      return { ok: true, value: { created: false, view: there.value, ...this.#listing(aliveOf(life)) } };
    // Its first turn could not be written: nothing has happened yet, so it can start.
    return life === null || life === "failing" || life.driver.state !== null ? there : null;
  }

  async view(
    viewer: Viewer,
    options: { waitMs?: number; afterSeq?: number; orIdle?: boolean } = {},
  ): Promise<Answer<RunView>> {
    return this.#lives.visit(
      viewer,
      async (life) => {
        const { driver } = life;
        const { afterSeq, orIdle } = options;
        const moved = (): boolean =>
          driver.state?.phase === "ended" ||
          (orIdle === true && driver.state !== null && isIdle(driver.state)) ||
          (afterSeq !== undefined && driver.seq > afterSeq);
        await this.#lives.watchers.until(moved, options.waitMs ?? 0);
        return { ok: true, value: this.#withDeletion(shown(life, viewer), life) };
      },
      ({ view }) => this.#withDeletion(view, null),
    );
  }

  #withDeletion(view: RunView, life: Life | null): RunView {
    const at = this.#lives.deletedAt(life);
    return at === null ? view : { ...view, deleted_at: at };
  }

  async step(viewer: Viewer, name: string, item?: number): Promise<Answer<StepView>> {
    return this.#lives.visit(viewer, (life, state) => {
      const step = stepOf(state, name);
      const unit = item === undefined ? step?.unit : step?.unit.items?.[item];
      if (step === null || unit === undefined) return noSuchStep(name);
      return { ok: true, value: viewStep(state, step.def, unit, showing(life, viewer)) };
    });
  }

  async explain(viewer: Viewer, step?: string): Promise<Answer<Explanation>> {
    const answer = await this.#lives.visit(
      viewer,
      ({ driver }, state): Answer<Explanation> => {
        const value = explainRun(state, Date.now(), step, driver.lacking());
        return value === null ? noSuchStep(step ?? "") : { ok: true, value };
      },
      ({ view }) => explainSealed(view),
    );
    const { meta } = this.#lives;
    // Whose user's run it is cannot be told while it cannot be read.
    if (answer.ok || answer.code !== "unavailable" || meta === null || viewer.onlyUser !== undefined)
      return answer;
    return { ok: true, value: explainFailing(meta, Date.now()) };
  }

  async events(
    viewer: Viewer,
    options: { after: number; limit: number; waitMs?: number },
  ): Promise<Answer<EventsPage>> {
    const { after } = options;
    const limit = Math.min(Math.max(1, options.limit), MAX_EVENTS);
    return this.#lives.visit(
      viewer,
      async ({ driver, journal }, state) => {
        await this.#lives.watchers.until(
          () => driver.seq > after || driver.state?.phase === "ended",
          options.waitMs ?? 0,
        );
        const how = {
          read: (value: Parameters<RunDriver["read"]>[0]) => driver.read(value),
          reveal: viewer.reveal === true,
        };
        const events: EventView[] = journal
          .after(after, limit)
          .flatMap((row) => viewRow(row, driver.state ?? state, how))
          .filter((event) => event.seq > after)
          .slice(0, limit);
        const next = events.at(-1)?.seq ?? after;
        return {
          ok: true,
          value: { events, next, ended: driver.state?.phase === "ended" && next >= driver.seq },
        };
      },
      ({ journal }) => sealedEvents(journal.after(after, limit + 1), after, limit),
    );
  }

  async exportStart(viewer: Viewer, outputs: boolean): ReturnType<RunRpc["exportStart"]> {
    return this.#lives.visit<ExportStart>(
      viewer,
      (life, state) => {
        const batch = exportBatch(exportSource(life, state, viewer, outputs), null, life.driver.seq);
        return {
          ok: true,
          value: { view: this.#withDeletion(shown(life, viewer), life), readable: true, batch },
        };
      },
      ({ view, journal }) => ({ view, readable: false, batch: sealedBatch(journal, null, view.seq) }),
    );
  }

  async exportMore(
    viewer: Viewer,
    outputs: boolean,
    { from, through }: Parameters<RunRpc["exportMore"]>[2],
  ): Promise<Answer<ExportBatch>> {
    return this.#lives.visit(
      viewer,
      (life, state) => ({
        ok: true,
        value: exportBatch(exportSource(life, state, viewer, outputs), from, through),
      }),
      ({ journal }) => sealedBatch(journal, from, through),
    );
  }

  async command(viewer: Viewer, command: Command): Promise<Answer<RunView>> {
    return this.#lives.visit(viewer, async (life, state) => {
      if (command.t === "redrive" && state.run.erased === true) return RUN_ERASED;
      if (
        isForStarter(command) &&
        viewer.onlyStartedBy !== undefined &&
        state.run.startedBy !== viewer.onlyStartedBy
      )
        return NOT_FOUND;
      if (command.t === "append" && hasSensitive(command.steps)) {
        const refused = await this.#lives.key.concealed(life.driver);
        if (refused !== null) return refused;
      }
      const outcome = commandDriver(life.driver, command, state);
      return outcome.ok ? { ok: true, value: shown(life, viewer) } : { ok: false, ...outcome.refusal };
    });
  }

  async graphPart(
    viewer: Viewer,
    wanted: Parameters<RunRpc["graphPart"]>[1],
  ): ReturnType<RunRpc["graphPart"]> {
    return this.#lives.visit(viewer, ({ driver }, state) => {
      if (viewer.onlyStartedBy !== undefined && state.run.startedBy !== viewer.onlyStartedBy)
        return NOT_FOUND;
      return { ok: true, value: graphPart(state, wanted, (value) => driver.read(value)) };
    });
  }

  async approvals(viewer: Viewer): Promise<Answer<readonly ApprovalView[]>> {
    return this.#lives.visit(viewer, (_, state) => ({
      ok: true,
      value: pendingApprovals(state, viewer, Date.now()),
    }));
  }

  async approval(viewer: Viewer, address: ApprovalAddress): Promise<Answer<ApprovalView>> {
    return this.#lives.visit(viewer, (_, state) => findApproval(state, address, viewer, Date.now()));
  }

  async mayLink(
    viewer: Viewer,
    address: ApprovalAddress,
    actor: string,
    behind: readonly string[] = [],
  ): Promise<Answer<ApprovalView>> {
    return this.#lives.visit(viewer, (_, state) =>
      checkLink(state, address, [actor, ...behind], viewer, Date.now()),
    );
  }

  async decide(viewer: Viewer, address: ApprovalAddress, decide: Decide): ReturnType<RunRpc["decide"]> {
    return this.#lives.visit(viewer, ({ driver }, state) => {
      const found = findApproval(state, address, viewer, Date.now());
      if (!found.ok) return found;
      const unit = refOf(address.step, address.item);
      const outcome = driver.command({ t: "decide", unit, id: address.id, ...decide });
      if (!outcome.ok) return { ok: false, ...outcome.refusal };
      const after = findApproval(driver.state ?? state, address, viewer, Date.now());
      const applied = (unitOf(state, unit)?.approval?.decided ?? null) === null;
      return after.ok ? { ok: true, value: { applied, approval: after.value } } : after;
    });
  }

  async childEnded(viewer: Viewer, child: Parameters<RunRpc["childEnded"]>[1]): Promise<Answer<null>> {
    return this.#lives.visit(viewer, ({ driver }) => {
      const unit = parseUnitName(child.unit);
      if (unit === null) return NOT_FOUND;
      const outcome = driver.command({ ...child, t: "child_ended", unit });
      return outcome.ok ? { ok: true, value: null } : { ok: false, ...outcome.refusal };
    });
  }

  async hear(tenant: string, heard: Parameters<RunRpc["hear"]>[1]): ReturnType<RunRpc["hear"]> {
    const { onlyUser } = heard;
    const viewer: Viewer = { tenant, ...(onlyUser === undefined ? {} : { onlyUser }) };
    return this.#lives.visit(viewer, ({ driver }, state) => {
      const standing = standingTo(state, heard, heard.id);
      if (standing !== "waits") return { ok: true, value: standing };
      const { step, id, payload, by } = heard;
      const signal = { t: "signal", id, name: signalOfEvent(step), payload, by } as const;
      const outcome = commandDriver(driver, signal, state);
      return outcome.ok ? { ok: true, value: "resumed" } : { ok: false, ...outcome.refusal };
    });
  }

  async connectionChanged(
    tenant: string,
    change: Parameters<RunRpc["connectionChanged"]>[1],
  ): Promise<Answer<null>> {
    return this.#lives.visit({ tenant }, ({ driver }) => {
      const outcome = driver.command({ t: "connection_changed", ...change });
      return outcome.ok ? { ok: true, value: null } : { ok: false, ...outcome.refusal };
    });
  }

  async rebind(viewer: Viewer, how: Parameters<RunRpc["rebind"]>[1]): Promise<Answer<RunView>> {
    return this.#lives.visit(viewer, (life) => {
      const outcome = life.driver.command({ t: "rebind", ...how });
      return outcome.ok ? { ok: true, value: shown(life, viewer) } : { ok: false, ...outcome.refusal };
    });
  }

  /** Also once it has ended, and whether or not it can go on just now: nothing else of the run is touched. */
  async admit(viewer: Viewer, descendant: string): Promise<Answer<boolean>> {
    const { meta } = this.#lives;
    if (meta === null || meta.tenant !== viewer.tenant) return NOT_FOUND;
    if (meta.deletedUntil !== undefined) return DELETED;
    return { ok: true, value: this.#descendants.admit(descendant) };
  }

  async recall(viewer: Viewer, how: Parameters<RunRpc["recall"]>[1]): Promise<Answer<null>> {
    return this.#lives.visit(viewer, ({ driver }, state) => {
      const { generation, mode, by } = how;
      // Only its parent can recall it.
      if (state.generation !== generation || state.run.startedBy !== by) return NOT_FOUND;
      const reason = "The run that started it does not wait for it any more.";
      const outcome = driver.command({ t: "cancel", mode, by, reason });
      return outcome.ok ? { ok: true, value: null } : { ok: false, ...outcome.refusal };
    });
  }

  async admitted(tenant: string, { generation }: { readonly generation: number }): Promise<Answer<null>> {
    return this.#queueSays(tenant, { t: "admit", generation });
  }

  async superseded(
    tenant: string,
    { generation, by }: { readonly generation: number; readonly by: string },
  ): Promise<Answer<null>> {
    return this.#queueSays(tenant, { t: "turn_away", generation, why: { as: "superseded", by } });
  }

  #queueSays(tenant: string, input: Extract<Input, { t: "admit" | "turn_away" }>): Promise<Answer<null>> {
    return this.#lives.visit({ tenant }, ({ driver }) => {
      const outcome = driver.command(input);
      return outcome.ok ? { ok: true, value: null } : { ok: false, ...outcome.refusal };
    });
  }

  async poke(tenant: string): Promise<RunReport | null> {
    return this.#lives.poke(tenant);
  }

  async relist(): Promise<boolean> {
    return this.#lives.relist();
  }

  async renewKey(tenant: string): Promise<boolean> {
    return this.#lives.key.renew(tenant);
  }

  async erase(tenant: string, how: EraseRun): Promise<EraseRunAnswer> {
    return this.#lives.erase(tenant, how);
  }

  override async alarm(info?: AlarmInvocationInfo): Promise<void> {
    if (CRASH_POINTS) crashPoint("crash-point:alarm-fired");
    return this.#lives.alarm(info);
  }

  /** What the door that starts a run tells the directory. */
  #listing(life: Life | null): Pick<StartedRun, "report"> {
    const report = this.#lives.report(life);
    return report === null ? {} : { report };
  }
}

function noSuchStep(name: string): Extract<Answer<never>, { ok: false }> {
  return { ok: false, code: "no_such_step", message: `There is no step named ${name} in this run.` };
}

function shown(life: Life, viewer: Viewer): RunView {
  const { driver } = life;
  if (driver.state === null) throw new TypeError("a run that was not started cannot be shown");
  return viewRun(driver.state, driver.seq, showing(life, viewer));
}

function exportSource({ journal }: Life, state: RunState, viewer: Viewer, outputs: boolean): ExportSource {
  return { journal, state, hiding: { outputs, reveal: viewer.reveal === true } };
}

function showing({ driver }: Life, viewer: Viewer): Showing {
  return { read: (value) => driver.read(value), reveal: viewer.reveal === true };
}

/** Whether what the run stores has to be sealed: its input or its output is sensitive, or what a step gives. */
function isConfidential({ graph, confidential }: StartRequest): boolean {
  return confidential === true || (graph.sensitive ?? []).length > 0 || hasSensitive(graph.steps);
}

function runInfoOf(request: StartRequest): RunInfo {
  const { id, tenant, workflow, version, user, startedBy, open, tags, traceparent } = request;
  const { policies, parent, origins, flow } = request;
  return {
    ...{ id, tenant, workflow, version, user, startedBy, open, tags, traceparent },
    ...(policies === undefined || policies.length === 0 ? {} : { policies }),
    ...(parent === undefined ? {} : { parent }),
    ...(origins === undefined ? {} : { origins }),
    ...(flow === undefined ? {} : { flow }),
  };
}
