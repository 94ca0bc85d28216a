/**
 * The runs of a game day: for each state that a run can be in, a plan that brings one into it and keeps it there, what
 * `explain` says of it then, and how it has to end once everything that it waits for has come.
 */
import type { FaultRule } from "../world/index.ts";

/** Where requests of this path are answered only after a long while. */
export const SLOW_PATH = "/stock/SLOW-*";
export const BELL = "gd-bell";
export const EVENT = "gd.paid";
/** Integration of the users' own keys to the calendar. */
export const DESK = "desk";
export const SECRET_NOTE = "gd-secret-note-";

/** While runs are brought into their states: each service does what keeps its runs there. */
export const KEEPING: readonly FaultRule[] = [
  { path: SLOW_PATH, probability: 1, fault: { kind: "slow", ms: 45_000 } },
  { service: "mail", probability: 1, fault: { kind: "status", status: 503 } },
  { service: "voice", method: "POST", probability: 1, fault: { kind: "lost_answer" } },
  { service: "pay", method: "POST", path: "/charges", probability: 1, fault: { kind: "lost_answer" } },
  { service: "airline", method: "DELETE", probability: 1, fault: { kind: "status", status: 503 } },
  { service: "aws", probability: 1, fault: { kind: "status", status: 503 } },
];

const retry = { attempts: 100, initial: "500ms", cap: "3s", jitter: "equal" } as const;
const timeout = "5s";
const shop = { bearer: "SHOP_TOKEN" } as const;

const post = (host: string, path: string, token: string, json: object) => ({
  ...{ method: "POST", url: `https://api.${host}.example/${path}`, auth: { bearer: token }, json },
});
/** The last step of every run: an invoice, so that one that is claimed and was not made is found. */
const tail = (...needs: readonly string[]) => ({
  ...{ action: "http", needs, effect: "keyed", retry, timeout },
  with: post("shop", "invoices", "SHOP_TOKEN", { customer: "Ada", amount: 4_200, currency: "EUR" }),
});
const wait = { action: "wait", with: { signal: "go", timeout: "2h" } } as const;
const slow = {
  ...{ action: "http", retry, timeout: "60s" },
  with: { method: "GET", url: "https://api.shop.example/stock/SLOW-1", auth: shop },
} as const;
const mail = { to: "ada@mail.example", subject: "Hello", text: "It goes on." };

/** What is done to a run right after its start. */
export type Push = "pause" | "cancel";

export interface Kind {
  readonly name: string;
  /** Reasons of which `explain` gives one while the run stands as it should. */
  readonly stands: readonly string[];
  /** A plan that is stored as `gd-<name>`; missing: a workflow of the deployment. */
  readonly plan?: object;
  readonly ends: "succeeded" | "failed" | "cancelled";
  readonly share: number;
  readonly push?: Push;
  /** What must be seen of it before it is pushed. */
  readonly pushAt?: string;
  readonly open?: true;
  readonly user?: (n: number) => string;
  readonly input?: (n: number, at: Moments) => object;
  /** Its state ends by itself soon: it is started last. */
  readonly late?: true;
}

/** Milliseconds since 1970. */
export interface Moments {
  /** When sleepers wake. */
  readonly wake: number;
}

export const KINDS: readonly Kind[] = [
  {
    ...{ name: "queued", stands: ["queued"], ends: "succeeded", share: 24 },
    plan: { flow: { concurrency: { limit: 4 } }, steps: { hold: wait, tail: tail("hold") } },
  },
  {
    ...{ name: "asleep", stands: ["sleeping"], ends: "succeeded", share: 40 },
    input: (_, { wake }) => ({ wake }),
    plan: {
      steps: {
        nap: { action: "sleep", with: { until: "${{ rfc3339(input.wake) }}" } },
        tail: tail("nap"),
      },
    },
  },
  {
    ...{ name: "signal", stands: ["signal"], ends: "succeeded", share: 50 },
    plan: { steps: { hold: wait, tail: tail("hold") } },
  },
  {
    ...{ name: "decision", stands: ["decision"], ends: "succeeded", share: 30 },
    plan: {
      steps: { ask: { action: "wait", with: { approval: "Go on?", timeout: "2h" } }, tail: tail("ask") },
    },
  },
  {
    ...{ name: "event", stands: ["signal"], ends: "succeeded", share: 25 },
    input: (n) => ({ order: `o-${n}` }),
    plan: {
      steps: {
        paid: {
          action: "wait",
          with: { event: EVENT, where: { order: "${{ input.order }}" }, timeout: "2h" },
        },
        tail: tail("paid"),
      },
    },
  },
  {
    ...{ name: "connection", stands: ["connection"], ends: "succeeded", share: 25 },
    user: (n) => `user-${n % 5}`,
    plan: {
      steps: {
        enter: {
          ...{ action: "http", effect: "keyed", retry, timeout },
          with: {
            ...{ method: "POST", url: "https://api.calendar.example/events", auth: { connection: DESK } },
            json: { day: "2027-03-14", title: "Game day" },
          },
        },
        tail: tail("enter"),
      },
    },
  },
  {
    ...{ name: "backing_off", stands: ["backing_off", "attempt"], ends: "succeeded", share: 25 },
    plan: {
      steps: {
        tell: {
          ...{ action: "http", effect: "keyed", retry, timeout },
          with: post("mail", "messages", "MAIL_TOKEN", mail),
        },
        tail: tail("tell"),
      },
    },
  },
  {
    ...{ name: "items", stands: ["items"], ends: "succeeded", share: 15 },
    plan: {
      steps: {
        tell: {
          ...{ action: "http", effect: "keyed", retry, timeout },
          forEach: { list: "[1, 2, 3]", concurrency: 2 },
          with: post("mail", "messages", "MAIL_TOKEN", mail),
        },
        tail: tail("tell"),
      },
    },
  },
  {
    ...{ name: "unknown", stands: ["unknown"], ends: "succeeded", share: 25 },
    plan: {
      steps: {
        call: {
          ...{ action: "http", effect: "once", retry, timeout },
          with: {
            ...post("voice", "calls", "VOICE_TOKEN", { to: "+41", text: "Hello" }),
            headers: { "x-reference": "${{ run.id + '.call' }}" },
          },
        },
        tail: tail("call"),
      },
    },
  },
  {
    ...{ name: "check_later", stands: ["check_later"], ends: "succeeded", share: 20 },
    plan: {
      steps: {
        charge: {
          ...{ action: "http", effect: "once", retry, timeout },
          with: {
            ...post("pay", "charges", "PAY_TOKEN", { amount: 1, currency: "EUR", payment_method: "pm_card" }),
            headers: { "x-reference": "${{ run.id + '.charge' }}" },
          },
          verify: {
            ...{ action: "http", after: "90s", retry, timeout },
            with: {
              ...{ method: "GET", url: "https://api.pay.example/charges", auth: { bearer: "PAY_TOKEN" } },
              query: { reference: "${{ run.id + '.charge' }}" },
            },
            happened:
              "size(output.body.items) > 0 ? {'happened': true, 'output': {'status': 201, 'body': output.body.items[0]}} : {'happened': false}",
          },
        },
        tail: tail("charge"),
      },
    },
  },
  {
    ...{ name: "paused", stands: ["paused"], ends: "succeeded", share: 25, push: "pause", pushAt: "signal" },
    plan: { steps: { hold: wait, tail: tail("hold") } },
  },
  {
    ...{
      name: "undoing",
      stands: ["undoing"],
      ends: "cancelled",
      share: 20,
      push: "cancel",
      pushAt: "signal",
    },
    plan: {
      steps: {
        flight: {
          ...{ action: "http", effect: "keyed", retry, timeout },
          with: post("skyline", "bookings", "SKYLINE_TOKEN", {
            ...{ from: "VIE", to: "ZRH", date: "2027-03-14", traveller: "Ada" },
          }),
          compensate: {
            ...{ action: "http", retry, timeout },
            with: {
              method: "DELETE",
              url: "https://api.skyline.example/bookings/${{ own.body.id }}",
              auth: { bearer: "SKYLINE_TOKEN" },
              success: ["200-299", 404, 410],
            },
          },
        },
        hold: { ...wait, needs: ["flight"] },
        tail: tail("hold"),
      },
    },
  },
  {
    ...{ name: "child", stands: ["child"], ends: "succeeded", share: 15 },
    plan: {
      steps: {
        below: { action: "run", with: { workflow: "gd-signal", input: {} } },
        tail: tail("below"),
      },
    },
  },
  {
    ...{ name: "confidential", stands: ["signal"], ends: "succeeded", share: 20 },
    input: (n) => ({ note: `${SECRET_NOTE}${n}` }),
    plan: {
      sensitive: ["input", "output"],
      steps: {
        hold: wait,
        copy: { action: "transform", needs: ["hold"], sensitive: true, with: { value: "${{ input.note }}" } },
        tail: tail("copy"),
      },
      output: "${{ steps.copy.output }}",
    },
  },
  {
    ...{ name: "open", stands: ["open"], ends: "succeeded", share: 15, open: true },
    plan: { open: true, steps: { first: tail() } },
  },
  {
    ...{ name: "next_round", stands: ["next_round", "attempt"], ends: "succeeded", share: 15 },
    plan: {
      steps: {
        poll: {
          ...{ action: "http", retry, timeout },
          repeat: { until: "output.body.total > 0", every: "3s", max: 1_000, within: "2h" },
          with: {
            ...{ method: "GET", url: "https://api.calendar.example/events" },
            ...{ auth: { bearer: "CALENDAR_TOKEN" }, query: { reference: BELL } },
          },
        },
        tail: tail("poll"),
      },
    },
  },
  {
    ...{ name: "failed", stands: ["run_failed"], ends: "failed", share: 15 },
    plan: { steps: { no: { action: "fail", with: { message: "This one is to fail." } } } },
  },
  {
    ...{ name: "cancelled", stands: ["run_cancelled"], ends: "cancelled", share: 10 },
    ...{ push: "cancel", pushAt: "signal" },
    plan: { steps: { hold: wait, tail: tail("hold") } },
  },
  {
    ...{ name: "succeeded", stands: ["run_succeeded"], ends: "succeeded", share: 16 },
    plan: { steps: { one: { action: "transform", with: { value: 1 } }, tail: tail("one") } },
  },
  { ...{ name: "cloud", stands: ["cloud"], ends: "succeeded", share: 20 } },
  {
    ...{ name: "attempt", stands: ["attempt"], ends: "succeeded", share: 25, late: true },
    plan: { steps: { look: slow, tail: tail("look") } },
  },
  {
    ...{ name: "draining", stands: ["draining"], ends: "cancelled", share: 10, late: true },
    ...{ push: "cancel", pushAt: "attempt" },
    plan: { steps: { look: slow, tail: tail("look") } },
  },
];

/** Appended to open runs in the end. */
export const LAST_STEP = { last: tail() };
/** What traffic, hooks, schedules start: over in a moment. */
export const QUICK = {
  steps: { one: { action: "transform", with: { value: "${{ input }}" } }, tail: tail("one") },
};
