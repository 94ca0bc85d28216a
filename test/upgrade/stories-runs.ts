/** Stories of runs: what they wait for, what is done to them, what they do to the world. */
import { ended, explained, look, signal, stands, start, store, text, texts, type Story } from "./story.ts";

const booking = (needs: readonly string[] = [], name = "book") => ({
  action: "http",
  needs,
  effect: "keyed",
  with: {
    method: "POST",
    url: "https://api.skyline.example/bookings",
    auth: { bearer: "SKYLINE_TOKEN" },
    json: { from: "VIE", to: "LIS", date: "2027-03-14", traveller: "Ada", reference: "${{ run.id }}" },
  },
  compensate: {
    action: "http",
    with: {
      method: "DELETE",
      url: `https://api.skyline.example/bookings/\${{ steps.${name}.output.body.id }}`,
      auth: { bearer: "SKYLINE_TOKEN" },
    },
  },
});
const waits = (name: string, needs: readonly string[] = []) => ({
  action: "wait",
  needs,
  with: { signal: name, timeout: "1h" },
});

/** Books, waits to be told, books again: what is done before the upgrade is not done after it. */
const signals: Story = {
  name: "signal",
  async begin(teller) {
    await store(teller, "up-signal", {
      steps: {
        first: booking([], "first"),
        go: waits("go", ["first"]),
        note: { action: "transform", needs: ["go"], with: { value: "${{ steps.go.output }}" } },
      },
      output: "${{ steps.note.output }}",
    });
    const run = await start(teller, "up-signal-1", { workflow: "up-signal" });
    await stands(teller, run, "go", "waiting");
    return { run };
  },
  async middle(teller, kept) {
    const run = text(kept, "run");
    const again = await start(teller, "up-signal-1", { workflow: "up-signal" });
    teller.hold(again === run, "the same start is the same run", again);
    await explained(teller, run);
    await signal(teller, run, "go", { said: "go on" });
    // Of a run that begins in the middle, the end sees the rest.
    const late = await start(teller, "up-signal-2", { workflow: "up-signal" });
    await stands(teller, late, "go", "waiting");
    return { run, late };
  },
  async end(teller, kept) {
    const seen = await ended(teller, text(kept, "run"), "succeeded");
    teller.hold(JSON.stringify(seen.output?.value) === '{"said":"go on"}', "the signal is the output", seen);
    teller.hold(seen.steps[0]?.attempts === 1, "what was done is not done again", seen);
    const late = text(kept, "late");
    await signal(teller, late, "go", 1);
    await ended(teller, late, "succeeded");
  },
};

/** Sleeps through everything. */
const sleeps: Story = {
  name: "sleep",
  async begin(teller) {
    const plan = {
      steps: { nap: { action: "sleep", with: { for: "6s" } }, after: booking(["nap"], "after") },
      output: { booked: "${{ steps.after.output.status }}" },
    };
    return { run: await start(teller, "up-sleep-1", { plan }) };
  },
  async middle(teller, kept) {
    await explained(teller, text(kept, "run"));
    return kept;
  },
  async end(teller, kept) {
    const seen = await ended(teller, text(kept, "run"), "succeeded");
    teller.hold(JSON.stringify(seen.output?.value) === '{"booked":201}', "it has booked once awake", seen);
  },
};

/** A person decides of a run that a narrower key has started. */
const approvals: Story = {
  name: "approval",
  async begin(teller) {
    const { key } = await teller.ask<{ key: string }>("POST", "/v1/keys", {
      body: { name: "starter", scopes: ["runs:read", "runs:write"] },
    });
    const plan = {
      steps: { ok: { action: "wait", with: { approval: "Book?", timeout: "1h" } }, book: booking(["ok"]) },
    };
    const run = await start(teller, "up-approval-1", { plan }, key);
    await stands(teller, run, "ok", "waiting");
    return { run };
  },
  async middle(teller, kept) {
    const run = text(kept, "run");
    const { data } = await teller.ask<{ data: { id: string }[] }>("GET", `/v1/runs/${run}/approvals`);
    const id = data[0]?.id ?? "";
    await teller.ask("POST", `/v1/approvals/${id}`, { body: { decision: "approved", note: "fine" } });
    return { run, approval: id };
  },
  async end(teller, kept) {
    await ended(teller, text(kept, "run"), "succeeded");
    const seen = await teller.ask<{ status: string }>("GET", `/v1/approvals/${text(kept, "approval")}`);
    teller.hold(seen.status === "approved", "the decision stands", seen);
  },
};

/** Is cancelled, and takes back what it did. */
const cancels: Story = {
  name: "cancel",
  async begin(teller) {
    const plan = { steps: { book: booking(), wait: waits("never", ["book"]) } };
    const run = await start(teller, "up-cancel-1", { plan });
    await stands(teller, run, "wait", "waiting");
    return { run };
  },
  async middle(teller, kept) {
    await teller.ask("POST", `/v1/runs/${text(kept, "run")}/pause`);
    await teller.ask("POST", `/v1/runs/${text(kept, "run")}/cancel`, {
      body: { reason: "changed my mind" },
      expect: [200, 202],
    });
    return kept;
  },
  async end(teller, kept) {
    const seen = await ended(teller, text(kept, "run"), "cancelled");
    teller.hold(seen.steps[0]?.undone === true, "what it did is taken back", seen);
  },
};

/** Fails, and is redriven from there. */
const redrives: Story = {
  name: "redrive",
  async begin(teller) {
    const plan = {
      steps: {
        book: { ...booking(), compensate: undefined },
        go: { ...waits("go", ["book"]), with: { signal: "go", timeout: "1500ms" } },
      },
    };
    const run = await start(teller, "up-redrive-1", { plan: JSON.parse(JSON.stringify(plan)) as object });
    await ended(teller, run, "failed");
    return { run };
  },
  async middle(teller, kept) {
    const run = text(kept, "run");
    const seen = await look(teller, run);
    teller.hold(seen.failure?.code === "wait_expired", "it says why it failed", seen);
    await explained(teller, run);
    await teller.ask("POST", `/v1/runs/${run}/redrive`, { body: {}, expect: [200, 202] });
    await teller.ask("POST", `/v1/runs/${run}/signals/go`, { body: { id: "now" }, expect: [200, 202, 409] });
    return kept;
  },
  async end(teller, kept) {
    const run = text(kept, "run");
    const seen = await teller.until(
      "the redriven run ends",
      () => look(teller, run),
      (view) => view.status === "succeeded" || view.status === "failed",
    );
    // The signal and the wait's limit are a race; both ends are ends, and neither books again.
    teller.hold(seen.steps[0]?.attempts === 1, "what succeeded is not done again", seen);
  },
};

/** A run that starts another one, which waits. */
const children: Story = {
  name: "child",
  async begin(teller) {
    await store(teller, "up-child", { steps: { go: waits("go") }, output: "${{ steps.go.output }}" });
    const plan = {
      steps: { below: { action: "run", with: { workflow: "up-child", input: {}, timeout: "1h" } } },
      output: "${{ steps.below.output }}",
    };
    const run = await start(teller, "up-child-1", { plan });
    const seen = await teller.until(
      "the child is there",
      () => look(teller, run),
      (view) => view.steps[0]?.child !== undefined,
    );
    return { run, child: seen.steps[0]?.child ?? "" };
  },
  async middle(teller, kept) {
    await signal(teller, text(kept, "child"), "go", "from above");
    return kept;
  },
  async end(teller, kept) {
    await ended(teller, text(kept, "child"), "succeeded");
    const seen = await ended(teller, text(kept, "run"), "succeeded");
    teller.hold(
      JSON.stringify(seen.output?.value).includes("from above"),
      "the child's output is the parent's",
      seen,
    );
  },
};

/** One at a time: the others wait in the workflow's queue. */
const flows: Story = {
  name: "flow",
  async begin(teller) {
    await store(teller, "up-flow", {
      flow: { concurrency: { limit: 1 } },
      steps: { go: waits("go") },
      output: "${{ steps.go.output }}",
    });
    const runs: string[] = [];
    for (const n of [1, 2, 3]) runs.push(await start(teller, `up-flow-${n}`, { workflow: "up-flow" }));
    await stands(teller, runs[0] ?? "", "go", "waiting");
    return { runs };
  },
  async middle(teller, kept) {
    const [first, second, third] = texts(kept, "runs");
    const queue = await teller.ask<{ waiting: number }>("GET", "/v1/workflows/up-flow/queue");
    teller.hold(queue.waiting === 2, "two wait in the queue", queue);
    await signal(teller, first ?? "", "go", 1);
    await ended(teller, first ?? "", "succeeded");
    await stands(teller, second ?? "", "go", "waiting");
    const last = await look(teller, third ?? "");
    teller.hold(last.status === "queued", "the last one still waits", last);
    return kept;
  },
  async end(teller, kept) {
    for (const run of texts(kept, "runs").slice(1)) {
      await stands(teller, run, "go", "waiting");
      await signal(teller, run, "go", 1);
      await ended(teller, run, "succeeded");
    }
  },
};

/** All that it stores is sealed. */
const confidential: Story = {
  name: "confidential",
  async begin(teller) {
    await store(teller, "up-confidential", {
      sensitive: ["input", "output"],
      input: { type: "object", properties: { secret: { type: "string" } }, required: ["secret"] },
      steps: {
        go: waits("go"),
        say: { action: "transform", needs: ["go"], sensitive: true, with: { value: "${{ input.secret }}" } },
      },
      output: "${{ steps.say.output }}",
    });
    const run = await start(teller, "up-confidential-1", {
      workflow: "up-confidential",
      input: { secret: "between us" },
    });
    await stands(teller, run, "go", "waiting");
    return { run };
  },
  async middle(teller, kept) {
    await signal(teller, text(kept, "run"), "go", "told");
    return kept;
  },
  async end(teller, kept) {
    const seen = await ended(teller, text(kept, "run"), "succeeded");
    teller.hold(
      JSON.stringify(seen).includes("between us"),
      "its output opens, for whoever may see it",
      seen,
    );
  },
};

/** A run that grows, by whoever started it. */
const open: Story = {
  name: "open",
  async begin(teller) {
    const run = await start(teller, "up-open-1", {
      open: true,
      steps: { a: { action: "transform", with: { value: 1 } } },
    });
    await stands(teller, run, "a", "succeeded");
    return { run };
  },
  async middle(teller, kept) {
    const steps = { b: { action: "transform", needs: ["a"], with: { value: "${{ steps.a.output + 1 }}" } } };
    await teller.ask("POST", `/v1/runs/${text(kept, "run")}/steps`, { body: { steps }, expect: [200, 202] });
    return kept;
  },
  async end(teller, kept) {
    const run = text(kept, "run");
    await stands(teller, run, "b", "succeeded");
    await teller.ask("POST", `/v1/runs/${run}/close`, { expect: [200, 202] });
    await ended(teller, run, "succeeded");
  },
};

export const RUN_STORIES: readonly Story[] = [
  signals,
  sleeps,
  approvals,
  cancels,
  redrives,
  children,
  flows,
  confidential,
  open,
];
