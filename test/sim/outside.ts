/** The simulated outside: what becomes of each request, drawn when it is made. */

import type { Call, Performed } from "../../src/driver/index.ts";
import {
  performanceOf,
  type FailureSeed,
  type Json,
  type Need,
  type StepDef,
} from "../../src/kernel/index.ts";
import { isChild } from "./children.ts";
import type { Await, Coverage, Fault } from "./coverage.ts";
import type { Payload } from "./evaluate.ts";
import type { Host } from "./host.ts";
import type { Life } from "./life.ts";
import { LAND_MS, LATE_ANSWER_MS, SKEW_MS } from "./limits.ts";
import type { Random } from "./random.ts";
import type { Landed, Referee } from "./referee.ts";
import type { Schedule } from "./schedule.ts";
import type { Swarm } from "./swarm.ts";

/** Over the limit of one output. */
const TOO_LARGE = "x".repeat(1_048_577);

/** What is drawn for an attempt. */
const FATES = {
  refused: 3,
  "refused with Retry-After": 2,
  "unclear, happened": 3,
  "unclear, not happened": 2,
  "request lost": 2,
  "answer lost": 3,
  "answer late": 5,
  "lands late": 2,
  slow: 2,
  garbage: 2,
  "too large": 0.1,
  "cannot work": 2,
  "threw before it was sent": 1,
  "threw after it was sent": 2,
  "refused before it was sent": 1,
  "sent too late": 1,
  "platform limit met": 1,
  "verify cannot tell": 1,
  "credential refused": 3,
} as const;
type Fate = keyof typeof FATES | "fine";

export interface Request {
  readonly life: Life;
  readonly call: Call;
  readonly fate: Fate;
  readonly ignoresAbort: boolean;
  /** Set by the driver: ends when the driver has taken the answer. */
  work: Promise<void>;
  awaiting: Await;
  settled: boolean;
  /** What its child said. */
  child: Performed | null;
  /** What the service did not take. */
  lacking: Need | null;
  readonly resolve: (performed: Performed) => void;
  readonly reject: (error: Error) => void;
}

export class Outside {
  readonly #host: Host;
  readonly #schedule: Schedule;
  readonly #random: Random;
  readonly #referee: Referee;
  readonly #coverage: Coverage;
  readonly #swarm: Swarm;
  readonly requests = new Set<Request>();

  constructor(
    host: Host,
    schedule: Schedule,
    random: Random,
    referee: Referee,
    coverage: Coverage,
    swarm: Swarm,
  ) {
    this.#host = host;
    this.#schedule = schedule;
    this.#random = random;
    this.#referee = referee;
    this.#coverage = coverage;
    this.#swarm = swarm;
  }

  perform(life: Life, call: Call): { readonly promise: Promise<Performed>; readonly request: Request } {
    const fates = {
      ...FATES,
      "answer late": this.#swarm.late,
      garbage: this.#swarm.garbage,
      "verify cannot tell": call.unit.role === "verify" ? 10 : 0,
      "credential refused": call.lease === undefined ? 0 : 3,
    };
    const fate: Fate = this.#random.chance(this.#swarm.rough) ? this.#random.weighted(fates) : "fine";
    let resolve: Request["resolve"] = () => {};
    let reject: Request["reject"] = () => {};
    const promise = new Promise<Performed>((yes, no) => {
      resolve = yes;
      reject = no;
    });
    const request: Request = {
      life,
      call,
      fate,
      ignoresAbort: this.#random.chance(this.#swarm.stubborn),
      work: Promise.resolve(),
      awaiting: "credentials",
      settled: false,
      child: null,
      lacking: null,
      resolve,
      reject,
    };
    this.requests.add(request);
    const repeats = call.effect === "keyed" || call.effect === "idempotent";
    const happened = call.unit.role === undefined && this.#referee.happenedUnder(call.scope.key);
    this.#host.expect(
      call.maybe || !repeats || !happened || isChild(call),
      () => `${call.scope.key} has happened, and its action is told that it cannot have`,
    );
    call.signal.addEventListener("abort", () => {
      if (!request.ignoresAbort) this.#settle(request, 0, () => request.reject(new Error("aborted")));
    });
    const credentialsMs =
      fate === "sent too late"
        ? call.timeoutMs + this.#random.int(1, 2_000)
        : this.#random.chance(0.5)
          ? 0
          : this.#random.int(1, 300);
    this.#schedule.after(credentialsMs, () => {
      this.#send(request);
    });
    this.#await(request, "credentials");
    return { promise, request };
  }

  /** Credentials are at hand: from here on something may leave. */
  #send(request: Request): void {
    const { life, call, fate } = request;
    if (life.state === "dead" || request.settled) return;
    switch (fate) {
      case "threw before it was sent":
        this.#hit(fate);
        return this.#settle(request, 0, () => request.reject(new Error("made to throw")));
      case "refused before it was sent":
        this.#hit(fate);
        return this.#settle(request, 0, () => request.resolve(refused("not_sent")));
      case "platform limit met":
        this.#hit(fate);
        this.#await(request, "hop");
        return this.#settle(request, 0, () => request.resolve({ kind: "hop" }));
      default:
    }
    try {
      call.sent();
    } catch (error) {
      if (fate === "sent too late") this.#hit(fate);
      return this.#settle(request, 0, () => request.reject(error as Error));
    }
    if (life.state === "replaced" && !life.shut) this.#hit("a dead life sent");
    this.#await(request, "gate");
    this.#host.gate(life, () => {
      this.#leave(request);
    });
  }

  /** The output gate is open: the request is on its way, whatever becomes of the life that sent it. */
  #leave(request: Request): void {
    const { fate, call } = request;
    const landMs = fate === "lands late" ? this.#random.int(500, LAND_MS) : this.#random.int(1, 200);
    request.lacking = this.#host.credentials.judge(call, fate === "credential refused");
    const lands =
      request.lacking === null &&
      fate !== "request lost" &&
      fate !== "unclear, not happened" &&
      fate !== "cannot work" &&
      fate !== "refused" &&
      fate !== "refused with Retry-After";
    const of = call.scope.key;
    if (lands && !isChild(call)) this.#referee.leaves(of, call.unit.role, call.effect);
    this.#await(request, fate === "request lost" ? "answer that never comes" : "request on its way");
    if (fate === "request lost") return this.#hit(fate);
    this.#schedule.after(landMs, () => {
      this.#land(request, lands);
    });
  }

  #land(request: Request, lands: boolean): void {
    const { call, fate, life } = request;
    const of = call.scope.key;
    if (isChild(call)) return this.#landAtChild(request, lands);
    const { rest } = call.with as unknown as Payload;
    const role = call.unit.role;
    const before = this.#referee.stands(of);
    const landed: Landed = lands
      ? this.#referee.lands({
          of,
          role,
          effect: call.effect,
          key: call.key,
          body: rest,
          at: this.#schedule.now,
          keyTtlMs:
            (performanceOf(call.def, call.unit) ?? call.def).keyTtlMs + call.timeoutMs + LAND_MS + SKEW_MS,
          ofEffect: call.def.effect,
        })
      : "nothing to do";
    this.#host.trace(
      () =>
        `outside: ${of}${role === undefined ? "" : `/${role}`} #${call.attempt} landed: ${fate}, ${landed}`,
    );
    if (landed === "done" && life.state === "dead") this.#hit("effect lands after the life that sent it");
    if (landed === "done" && call.signal.aborted) this.#hit("effect lands after the attempt was given up");
    if (request.settled || life.state === "dead") return;
    this.#await(request, "request landed");
    if (fate === "answer lost") {
      this.#await(request, "answer that never comes");
      return this.#hit(fate);
    }
    this.#answer(request, landed, role === "verify" ? before : null);
  }

  #landAtChild(request: Request, lands: boolean): void {
    const { call, fate, life } = request;
    const answer = lands ? this.#host.children.asked(call) : null;
    this.#host.trace(() => `outside: ${call.key} #${call.attempt} at its child: ${fate}, ${answer?.kind}`);
    if (request.settled || life.state === "dead") return;
    request.child = answer;
    this.#await(request, "request landed");
    if (fate === "answer lost") {
      this.#await(request, "answer that never comes");
      return this.#hit(fate);
    }
    this.#answer(request, "nothing to do", null);
  }

  #answer(request: Request, landed: Landed, seen: boolean | null): void {
    const { call, fate } = request;
    const left = Math.max(1, call.deadline - request.life.now());
    const thinkMs =
      fate === "answer late" || (fate === "lands late" && this.#random.chance(0.5))
        ? left +
          this.#random.pick([this.#random.scale(10, LATE_ANSWER_MS), this.#random.int(1, LATE_ANSWER_MS)])
        : fate === "slow"
          ? Math.floor(left * (0.7 + 0.3 * this.#random.next()))
          : this.#random.int(1, 400);
    const performed = landed === "taken back" ? cannot() : this.#performed(request, seen);
    this.#settle(request, thinkMs, () => {
      if (fate === "answer late" || call.signal.aborted) this.#lateness(request);
      if (fate === "threw after it was sent") {
        this.#hit(fate);
        request.reject(new Error("made to throw"));
      } else {
        const unfit = isChild(call) && (fate === "garbage" || fate === "too large");
        const counted = fate === "answer late" || fate === "lands late" || fate === "credential refused";
        if (fate !== "fine" && !counted && !unfit && request.lacking === null) this.#hit(fate);
        request.resolve(performed);
      }
    });
    this.#await(request, "answer on its way");
  }

  #lateness({ call, life }: Request): void {
    const state = life.driver.state;
    const unit = state === null ? null : life.unit(call.unit);
    if (state?.phase === "ended") this.#hit("answer late, after the run ended");
    else if (unit !== null && unit.attempt > call.attempt)
      this.#hit("answer late, after the next attempt began");
    else if (unit?.status === "unknown" && unit.listening)
      this.#hit("answer late, the attempt still listened to");
    if (call.signal.aborted) this.#hit("abort ignored");
  }

  #performed(request: Request, seen: boolean | null): Performed {
    const { call, fate } = request;
    if (request.lacking !== null) return { kind: "needs", need: request.lacking };
    switch (fate) {
      case "refused":
        return refused("http_503");
      case "refused with Retry-After":
        return { ...refused("http_429"), retryAfterMs: this.#random.scale(100, 60_000) };
      case "unclear, happened":
      case "unclear, not happened":
        return { kind: "unclear", failure: failure("http_500") };
      case "cannot work":
        return cannot();
      case "garbage":
        if (request.child !== null) return request.child;
        return { kind: "unusable", failure: failure("output_invalid") };
      default:
    }
    if (request.child !== null) return request.child;
    const payload = call.with as unknown as Payload;
    const told = seen === null ? {} : { happened: fate === "verify cannot tell" ? null : seen };
    const output: Json = {
      n: this.#random.int(0, 99),
      pad: fate === "too large" ? TOO_LARGE : "p".repeat(payload.bytes),
      ...(payload.iteration < payload.rounds ? { again: true } : {}),
      ...told,
    };
    const more = payload.grow as unknown as readonly StepDef[] | null;
    return { kind: "success", output, ...(more === null ? {} : { more }) };
  }

  #settle(request: Request, ms: number, settle: () => void): void {
    this.#schedule.after(ms, async () => {
      if (request.settled || request.life.state === "dead") return;
      request.settled = true;
      this.requests.delete(request);
      await this.#host.answered(request, settle);
    });
  }

  #await(request: Request, what: Await): void {
    request.awaiting = what;
    this.#host.awaiting(request.life, what);
  }

  #hit(fault: Fault): void {
    this.#coverage.fault(fault);
  }
}

function failure(code: FailureSeed["code"]): FailureSeed {
  return { code, message: "The outside was made to fail.", hint: "None.", retryable: true };
}

function refused(code: FailureSeed["code"]): Extract<Performed, { kind: "refused" }> {
  return { kind: "refused", failure: failure(code) };
}

function cannot(): Performed {
  return { kind: "cannot", failure: failure("http_422") };
}
