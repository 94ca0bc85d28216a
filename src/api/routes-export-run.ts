/**
 * The export of one run: NDJSON, written here from batches that the run gives by RPC (as events are: `sse.ts`).
 *
 * - X5 nothing is fetched before the reader wants it.
 * - X6 the last line says how much there was. Without it the export is not whole: the connection broke, or the key was revoked.
 */
import { type KeyIdentity, may } from "../access/index.ts";
import type { ExportBatch, ExportStart } from "../run/index.ts";
import { NDJSON_TYPE, ofExport } from "./answer-export.ts";
import { sightOf } from "./outputs.ts";
import type { Problem } from "./problems.ts";
import { type Call, type Route, route } from "./route.ts";
import { ask, mayStillRead, viewerOf } from "./runs-of.ts";
import { MAX_BATCHES } from "./sse.ts";

/** PERSISTED CONTRACT. docs/data.md; a reader that does not know the number does not read on. */
const RUN_FORMAT = "showcaller.run/1";

export const RUN_EXPORT_ROUTES: readonly Route[] = [
  route({
    id: "exportRun",
    method: "GET",
    path: "/v1/runs/{run}/export",
    rule: "runs:read",
    also: "Inputs, outputs and graphs with `outputs:read`; what is marked as sensitive with `outputs:reveal`.",
    tag: "Runs",
    summary: "Take a run out, with its whole journal",
    description:
      "Lines of JSON: the run as it stands, every fact, every value, and at last how many lines there were; an export without that last line is not whole. docs/data.md tells the format.",
    answers: [{ status: 200, description: "The export.", mediaType: NDJSON_TYPE }],
    problems: ["not_found", "run_deleted"],
    handle: ({ call, identity }) => exportRun(call, identity),
  }),
];

async function exportRun(call: Call, identity: KeyIdentity): Promise<Response | Problem> {
  const outputs = may(identity, "outputs:read");
  const viewer = viewerOf(identity);
  const start = await ask(call, identity, (run) => run.exportStart(viewer, outputs));
  if (!start.ok) return start.error;
  const { deps, requestId } = call;
  const mayGoOn = mayStillRead(call);
  const body = linesOf(call, identity, start.value, {
    async next({ next: from, through }) {
      if (from === null || !(await mayGoOn())) return null;
      const more = await ask(call, identity, (run) => run.exportMore(viewer, outputs, { from, through }));
      return more.ok ? more.value : null;
    },
    failed(error) {
      const { tenant } = identity;
      deps.log.warn("api.export_broken", { requestId, tenant, run: start.value.view.id, error });
    },
  });
  return new Response(body, { headers: ofExport(`${start.value.view.id}.ndjson`) });
}

interface More {
  next(after: ExportBatch): Promise<ExportBatch | null>;
  failed(error: unknown): void;
}

function linesOf(
  call: Call,
  identity: KeyIdentity,
  { view, readable, batch }: ExportStart,
  more: More,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const outputs = may(identity, "outputs:read");
  const sum = { facts: 0, values: 0, withheld: 0 };
  const first = {
    ...{ format: RUN_FORMAT, type: "run", exported_at: call.deps.now() },
    ...{ through: batch.through, readable },
    shows: { outputs, sensitive: outputs && may(identity, "outputs:reveal") },
    run: sightOf(identity).run(view),
  };
  let at: ExportBatch | null = null;
  let batches = 0;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const isFirst = at === null;
          at = at === null ? batch : await more.next(at);
          batches += 1;
          if (at === null || batches > MAX_BATCHES) {
            controller.close();
            return;
          }
          sum.facts += at.facts;
          sum.values += at.values;
          sum.withheld += at.withheld;
          const head = isFirst ? `${JSON.stringify(first)}\n` : "";
          const tail = at.next === null ? `${JSON.stringify({ type: "end", ...sum })}\n` : "";
          controller.enqueue(encoder.encode(head + at.text + tail));
          if (at.next === null) controller.close();
        } catch (error) {
          // X6
          more.failed(error);
          controller.close();
        }
      },
    },
    { highWaterMark: 0 },
  );
}
