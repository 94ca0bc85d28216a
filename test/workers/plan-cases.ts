/** Plans that do work, each with what must have come of it. `ref` is another text in every run: the world counts by it. */
import type { Json } from "../../src/kernel/index.ts";
import type { Fault } from "./run-support.ts";

export interface PlanCase {
  readonly plan: Readonly<Record<string, Json>>;
  readonly input?: Readonly<Record<string, Json>>;
  readonly faults?: readonly Fault[];
  readonly signals?: Readonly<Record<string, Json>>;
  readonly status?: "succeeded" | "failed";
  /** What the run answers, as a subset. */
  readonly output?: unknown;
  readonly failure?: unknown;
  readonly steps?: Readonly<Record<string, string>>;
  /** What stands in the world under the reference. */
  readonly standing?: number;
}

const SKYLINE = { bearer: "SKYLINE_TOKEN" };
const HARBOUR = { bearer: "HARBOUR_TOKEN" };
const REFERENCE = { "x-reference": "${{ input.ref }}" };
const QUICK = { attempts: 4, initial: "10ms", jitter: "none" };

const flight = {
  action: "http",
  effect: "keyed",
  retry: QUICK,
  with: {
    method: "POST",
    url: "https://api.skyline.example/bookings",
    auth: SKYLINE,
    headers: REFERENCE,
    json: { from: "VIE", to: "LIS", date: "2027-03-14", traveller: "Ada" },
  },
};
const hotel = (date: string): Record<string, Json> => ({
  action: "http",
  effect: "keyed",
  retry: QUICK,
  with: {
    method: "POST",
    url: "https://api.harbour.example/reservations",
    auth: HARBOUR,
    headers: REFERENCE,
    json: { city: "Lisbon", date, nights: 2, guest: "Ada" },
  },
});
const cancelFlight = {
  action: "http",
  with: {
    method: "DELETE",
    url: "https://api.skyline.example/bookings/${{ steps.flight.output.body.id }}",
    auth: SKYLINE,
    headers: REFERENCE,
  },
};
const value = (given: Json, more: Record<string, Json> = {}): Record<string, Json> => ({
  action: "transform",
  with: { value: given },
  ...more,
});
const stock = (sku: string): Record<string, Json> => ({
  action: "http",
  with: {
    method: "GET",
    url: `https://api.shop.example/stock/${sku}`,
    auth: { bearer: "SHOP_TOKEN" },
    query: { quantity: 1 },
  },
});

export const PLAN_CASES: Readonly<Record<string, PlanCase>> = {
  "keeps the type of a whole expression, and writes out what stands in a longer text": {
    plan: {
      steps: {
        make: value({
          number: "${{ input.n + 1 }}",
          list: "${{ [input.n, 'two', null] }}",
          text: "n is ${{ input.n }}, and more: ${{ {'a': [1, true]} }}",
          plain: "no expression { }",
        }),
      },
      output: "${{ steps.make.output }}",
    },
    input: { n: 41 },
    output: {
      number: 42,
      list: [41, "two", null],
      text: 'n is 41, and more: {"a":[1,true]}',
      plain: "no expression { }",
    },
  },
  "books with a key, and answers with a part of what the service said": {
    plan: {
      steps: { flight },
      output: { id: "${{ steps.flight.output.body.id }}", ok: "${{ steps.flight.output.status == 201 }}" },
    },
    output: { id: anyText(), ok: true },
    standing: 1,
  },
  "books once, although answers are lost and the service is busy": {
    plan: { steps: { flight }, output: "${{ steps.flight.attempts }}" },
    faults: [
      { fault: { kind: "lost_answer" }, method: "POST" },
      { fault: { kind: "status", status: 503 }, method: "POST" },
    ],
    output: 3,
    standing: 1,
  },
  "runs once for each element, and gives the outputs in their order": {
    plan: {
      steps: {
        looks: { ...stock("${{ item }}"), forEach: "input.skus" },
        free: value("${{ steps.looks.output.filter(x, x.body.in_stock).map(x, x.body.sku) }}", {
          needs: ["looks"],
        }),
      },
      output: "${{ steps.free.output }}",
    },
    input: { skus: ["A-1", "OUT-2", "C-3"] },
    output: ["A-1", "C-3"],
  },
  "goes on when fewer elements fail than it tolerates": {
    plan: {
      steps: {
        rooms: { ...hotel("${{ item }}"), forEach: { list: "input.days", concurrency: 2, tolerate: 1 } },
      },
      output: "${{ steps.rooms.output.map(x, x == null ? 0 : x.status) }}",
    },
    input: { days: ["2027-03-14", "2027-12-24", "2027-03-16"] },
    output: [201, 0, 201],
    standing: 2,
  },
  "computes for each element without calling anybody": {
    plan: {
      steps: {
        lines: value("${{ string(index) + ': ' + item.name }}", {
          forEach: "input.people.filter(p, p.age >= 18)",
        }),
      },
      output: "${{ steps.lines.output.join('; ') }}",
    },
    input: {
      people: [
        { name: "Ada", age: 36 },
        { name: "Tim", age: 9 },
        { name: "Bo", age: 18 },
      ],
    },
    output: "0: Ada; 1: Bo",
  },
  "takes the branch whose condition holds, and joins behind it": {
    plan: {
      steps: {
        dear: value("by train", { when: "input.budget < 100" }),
        cheap: value("by plane", { when: "input.budget >= 100" }),
        way: value("${{ steps.dear.status == 'succeeded' ? steps.dear.output : steps.cheap.output }}", {
          needs: ["dear", "cheap"],
          join: "any",
        }),
      },
      output: "${{ steps.way.output }}",
    },
    input: { budget: 50 },
    output: "by train",
    steps: { dear: "succeeded", cheap: "skipped" },
  },
  "polls until its condition holds": {
    plan: {
      steps: {
        poll: {
          ...stock("A-1"),
          repeat: { until: "iteration >= 2 && output.status == 200", every: "5ms", max: 9 },
        },
      },
      output: "${{ steps.poll.output.body.available }}",
    },
    output: 25,
  },
  "fails at once where the condition of a poll cannot be read": {
    plan: {
      steps: {
        poll: {
          ...stock("A-1"),
          retry: QUICK,
          repeat: { until: "output.body.nothing == 1", every: "5ms", max: 9 },
        },
      },
    },
    status: "failed",
    failure: { code: "template_failed", step: "poll", attempts: 1 },
  },
  "takes back what it did when a later step fails": {
    plan: {
      steps: {
        flight: { ...flight, compensate: cancelFlight },
        hotel: { ...hotel("2027-12-24"), needs: ["flight"] },
      },
    },
    status: "failed",
    failure: { code: "http_422", step: "hotel", undone: [{ step: "flight" }], left_behind: [] },
    standing: 0,
  },
  "tells somebody when it is lost": {
    plan: {
      steps: { hotel: hotel("2027-12-24") },
      onFailure: {
        tell: {
          action: "http",
          effect: "keyed",
          with: {
            method: "POST",
            url: "https://api.mail.example/messages",
            auth: { bearer: "MAIL_TOKEN" },
            headers: REFERENCE,
            json: {
              to: "ada@mail.example",
              subject: "No room: ${{ failure.code }}",
              text: "${{ failure.message }} The hotel step: ${{ steps.hotel.status }}.",
            },
          },
        },
      },
    },
    status: "failed",
    failure: { code: "http_422" },
    steps: { tell: "succeeded" },
    standing: 1,
  },
  "finds out by itself that a once step happened, when its answer is lost": {
    plan: {
      steps: {
        flight: {
          ...flight,
          effect: "once",
          timeout: "2s",
          verify: {
            action: "http",
            after: "20ms",
            with: {
              method: "GET",
              url: "https://api.skyline.example/bookings",
              auth: SKYLINE,
              query: { reference: "${{ input.ref }}" },
            },
            happened:
              "output.body.total > 0 ? {'happened': true, 'output': {'status': 201, 'body': output.body.items[0]}} : {'happened': false}",
          },
        },
      },
      output: "${{ steps.flight.output.body.status }}",
    },
    faults: [{ fault: { kind: "lost_answer" }, method: "POST" }],
    output: "confirmed",
    standing: 1,
  },
  "finds out that a once step did not happen, and does it": {
    plan: {
      steps: {
        flight: {
          ...flight,
          effect: "once",
          timeout: "2s",
          verify: {
            action: "http",
            after: "20ms",
            with: {
              method: "GET",
              url: "https://api.skyline.example/bookings?reference=${{ input.ref }}",
              auth: SKYLINE,
            },
            happened: "output.body.total > 0",
          },
        },
      },
      output: "${{ steps.flight.output.status }}",
    },
    faults: [{ fault: { kind: "reset" }, method: "POST" }],
    output: 201,
    standing: 1,
  },
  "finds out that a keyed step happened of which every answer was lost, and takes it back by its id": {
    plan: {
      steps: {
        flight: {
          ...flight,
          retry: { attempts: 2, initial: "10ms", jitter: "none" },
          timeout: "2s",
          verify: {
            action: "http",
            after: "20ms",
            with: {
              method: "GET",
              url: "https://api.skyline.example/bookings",
              auth: SKYLINE,
              query: { reference: "${{ input.ref }}" },
            },
            happened:
              "output.body.total > 0 ? {'happened': true, 'output': {'status': 201, 'body': output.body.items[0]}} : {'happened': false}",
          },
          compensate: cancelFlight,
        },
        stop: { action: "fail", needs: ["flight"], with: { message: "It is enough." } },
      },
    },
    faults: [
      { fault: { kind: "lost_answer" }, method: "POST" },
      { fault: { kind: "lost_answer" }, method: "POST" },
    ],
    status: "failed",
    failure: { code: "step_failed", undone: [{ step: "flight" }], left_behind: [] },
    steps: { flight: "succeeded" },
    standing: 0,
  },
  "finds out that an idempotent step did not happen whose attempts are used up": {
    plan: {
      steps: {
        flight: {
          ...flight,
          effect: "idempotent",
          retry: { attempts: 1 },
          timeout: "2s",
          onFailure: "continue",
          verify: {
            action: "http",
            after: "20ms",
            with: {
              method: "GET",
              url: "https://api.skyline.example/bookings?reference=${{ input.ref }}",
              auth: SKYLINE,
            },
            happened: "output.body.total > 0",
          },
        },
        say: value("${{ steps.flight.failure.code }}", { needs: ["flight"], join: "settled" }),
      },
      output: "${{ steps.say.output }}",
    },
    faults: [{ fault: { kind: "reset" }, method: "POST" }],
    output: "network",
    steps: { flight: "failed" },
    standing: 0,
  },
  "asks by the key that the step sent": {
    plan: {
      steps: {
        flight: {
          ...flight,
          retry: { attempts: 1 },
          compensate: {
            action: "http",
            with: {
              method: "GET",
              url: "https://api.skyline.example/bookings?reference=${{ stepKey }}",
              auth: SKYLINE,
              headers: REFERENCE,
            },
          },
        },
        stop: { action: "fail", needs: ["flight"], with: { message: "It is enough." } },
      },
    },
    status: "failed",
    failure: { undone: [{ step: "flight" }] },
  },
  "waits for a message, and goes on with what it says": {
    plan: {
      steps: {
        answer: { action: "wait", with: { signal: "answer", timeout: "${{ input.wait }}" } },
        say: value("They said ${{ steps.answer.output.word }}.", { needs: ["answer"] }),
      },
      output: "${{ steps.say.output }}",
    },
    input: { wait: "1h" },
    signals: { answer: { word: "yes" } },
    output: "They said yes.",
  },
  "sleeps for a time, and until a moment": {
    plan: {
      steps: {
        nap: { action: "sleep", with: { for: "${{ input.ms }}" } },
        dawn: { action: "sleep", needs: ["nap"], with: { until: "${{ rfc3339(run.now + 5) }}" } },
        up: value("${{ steps.dawn.endedAt >= steps.nap.startedAt + 10 }}", { needs: ["dawn"] }),
      },
      output: "${{ steps.up.output }}",
    },
    input: { ms: 10 },
    output: true,
  },
  "ends with a reason of its own": {
    plan: {
      steps: {
        stock: stock("OUT-9"),
        none: {
          action: "fail",
          needs: ["stock"],
          when: "!steps.stock.output.body.in_stock",
          with: {
            message: "There are ${{ steps.stock.output.body.available }} left.",
            reason: "sold_out",
            hint: "Wait.",
          },
        },
      },
    },
    status: "failed",
    failure: { code: "step_failed", reason: "sold_out", message: "There are 0 left.", hint: "Wait." },
  },
  "goes on after a failure, and reads it": {
    plan: {
      steps: {
        room: { ...hotel("2027-12-24"), onFailure: "continue" },
        say: value("${{ steps.room.failure.code + ' ' + string(steps.room.output == null) }}", {
          needs: ["room"],
          join: "settled",
        }),
      },
      output: "${{ steps.say.output }}",
    },
    output: "http_422 true",
  },
  "goes on with a fallback": {
    plan: {
      steps: {
        room: { ...hotel("2027-12-24"), onFailure: { fallback: { body: { id: "none" } } } },
        say: value("${{ steps.room.output.body.id }}", { needs: ["room"] }),
      },
      output: "${{ steps.say.output }}",
    },
    output: "none",
  },
  "encodes what it puts into an address, so that it stays one part of it": {
    plan: { steps: { stock: stock("${{ input.sku }}") }, output: "${{ steps.stock.output.body.sku }}" },
    input: { sku: "TEA 1/2?quantity=9&x=ü" },
    output: "TEA 1/2?quantity=9&x=ü",
  },
  "sends a form, and keeps only what it is told to": {
    plan: {
      steps: {
        report: {
          action: "http",
          effect: "idempotent",
          with: {
            method: "POST",
            url: "https://api.bench.example/report?id=${{ input.ref }}",
            form: { a: "${{ input.n }}", b: null },
            keep: { headers: ["content-type"], body: "none" },
          },
        },
      },
      output: "${{ steps.report.output }}",
    },
    input: { n: 1 },
    output: { status: 200, headers: { "content-type": "application/json" }, body: null },
  },
  "reads the pages of a list as one list": {
    plan: {
      steps: {
        flight,
        list: {
          action: "http",
          needs: ["flight"],
          with: {
            method: "GET",
            url: "https://api.skyline.example/bookings",
            auth: SKYLINE,
            query: { reference: "${{ input.ref }}" },
            paginate: { by: "cursor", items: "/items", cursor: "/next", param: "cursor", max: 3 },
          },
        },
      },
      output:
        "${{ steps.list.output.body.map(b, b.id) == [steps.flight.output.body.id] && !steps.list.output.more }}",
    },
    output: true,
  },
  "counts another status as an answer, where it is told so": {
    plan: {
      steps: {
        look: {
          action: "http",
          with: {
            method: "GET",
            url: "https://api.skyline.example/bookings/none",
            auth: SKYLINE,
            success: [200, 404],
          },
        },
        say: value("${{ steps.look.output.status == 404 ? 'free' : 'taken' }}", { needs: ["look"] }),
      },
      output: "${{ steps.say.output }}",
    },
    output: "free",
  },
  "waits as long as the service asks for": {
    plan: { steps: { stock: { ...flight, effect: "keyed" } }, output: "${{ steps.stock.attempts }}" },
    faults: [{ fault: { kind: "status", status: 429, retryAfterSeconds: 0 }, method: "POST" }],
    output: 2,
    standing: 1,
  },
  "names steps by any name that they can have": {
    plan: {
      steps: { "1-a_b": value(7), c: value("${{ steps['1-a_b'].output * 6 }}", { needs: ["1-a_b"] }) },
      output: "${{ steps.c.output }}",
    },
    output: 42,
  },
  "fills in defaults of its input": {
    plan: {
      input: {
        type: "object",
        properties: {
          ref: { type: "string" },
          nights: { type: "integer", default: 3 },
          name: { type: "string" },
        },
      },
      steps: {
        say: value("${{ has(input.name) ? input.name : 'somebody' }} stays ${{ input.nights }} nights"),
      },
      output: "${{ steps.say.output }}",
    },
    output: "somebody stays 3 nights",
  },
  "answers with the outputs of its last steps, if it says nothing else": {
    plan: { steps: { a: value(1), b: value("${{ steps.a.output + 1 }}", { needs: ["a"] }), c: value(3) } },
    output: { b: 2, c: 3 },
  },
  "computes with lists, maps, texts and numbers": {
    plan: {
      steps: {
        order: value({
          total: "${{ sum(input.items.map(i, i.price * i.count)) }}",
          dear: "${{ input.items.exists(i, i.price > 100) }}",
          all: "${{ input.items.all(i, i.count > 0) }}",
          names: "${{ input.items.map(i, i.name.upperAscii()).join('+') }}",
          half: "${{ 7 / 2 }}",
          whole: "${{ int(7 / 2) }}",
          rest: "${{ 7 % 4 }}",
          first: "${{ 'a,b,c'.split(',')[0] }}",
          known: "${{ 'tea' in input.items.map(i, i.name) }}",
          word: "${{ size(input.items) > 1 ? 'many' : 'one' }}",
        }),
      },
      output: "${{ steps.order.output }}",
    },
    input: {
      items: [
        { name: "tea", price: 4.5, count: 2 },
        { name: "pot", price: 30, count: 1 },
      ],
    },
    output: {
      total: 39,
      dear: false,
      all: true,
      names: "TEA+POT",
      half: 3.5,
      whole: 3,
      rest: 3,
      first: "a",
      known: true,
      word: "many",
    },
  },
};

/** Any text: the world makes the ids. */
function anyText(): unknown {
  return { any: "text" };
}
