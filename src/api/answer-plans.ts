/** What is found about a plan that was not started. */
import * as z from "zod";
import { EFFECTS } from "../kernel/index.ts";
import { named } from "./schema.ts";

export const finding = () =>
  z.strictObject({
    pointer: z.string().describe("JSON Pointer into the body."),
    code: z.string().describe("The rule; stable."),
    detail: z.string(),
    expression: z.string().optional().describe("The expression that it is about."),
    offset: z.int().optional().describe("Characters of the text before the place."),
    allowed: z.array(z.string()).optional().describe("What could stand there."),
  });

const keyShown = () =>
  z.union([z.string(), z.null()]).describe("Runs of the same value share it. Null: all do.");

export const flowShown = () =>
  z
    .strictObject({
      concurrency: z.array(z.strictObject({ limit: z.int(), key: keyShown() })),
      rate: z.union([z.strictObject({ limit: z.int(), per_ms: z.int(), key: keyShown() }), z.null()]),
      debounce: z.union([z.strictObject({ for_ms: z.int(), max_ms: z.int(), key: keyShown() }), z.null()]),
      priority: z.union([z.number(), z.string()]),
      queue: z.strictObject({ limit: z.int(), timeout_ms: z.int() }),
    })
    .describe("How its runs wait for each other. Missing: they do not.");

export const PlanReport = named("PlanReport", () =>
  z.strictObject({
    valid: z.boolean(),
    errors: z.array(finding()).describe("Everything that keeps it from running."),
    advice: z.array(finding()).describe("What is no error, and may not be what was meant."),
    summary: z.union([
      z.null(),
      z.strictObject({
        hosts: z.array(z.string()).describe("Every host that it would call."),
        service_tokens: z.array(z.string()).describe("Every credential that it names."),
        connections: z
          .array(
            z.strictObject({
              integration: z.string(),
              account: z.union([z.string(), z.null()]).describe("Null: the only one."),
              scopes: z.array(z.string()).describe("What its steps ask for in all."),
              hosts: z.array(z.string()).describe("Where they send it."),
            }),
          )
          .describe("Every connection that whoever it acts for has to have."),
        cloud_roles: z
          .array(
            z.strictObject({
              role: z.string(),
              hosts: z.array(z.string()).describe("Where its steps send what the role is given."),
            }),
          )
          .describe("Every cloud role that it uses."),
        steps: z.array(summarisedStep()).describe("In an order in which they could run."),
        flow: flowShown().optional(),
      }),
    ]),
  }),
);

const summarisedStep = () =>
  z.strictObject({
    name: z.string(),
    part: z.enum(["main", "on_failure"]),
    action: z.string(),
    effect: z.enum(EFFECTS),
    needs: z.array(z.string()),
    conditional: z.boolean(),
    for_each: z.boolean(),
    repeats: z.boolean(),
    waits_for: z.union([z.string(), z.null()]),
    waits_for_event: z.union([z.string(), z.null()]),
    requests: z.array(
      z.strictObject({
        step: z.string(),
        role: z.enum(["step", "verify", "compensate"]),
        method: z.string(),
        host: z.string(),
        path: z.string().describe("`*` stands for what is only known when the step runs."),
        token: z.union([z.string(), z.null()]),
        connection: z.union([
          z.strictObject({
            connection: z.string(),
            account: z.string().optional(),
            scopes: z.array(z.string()).optional(),
          }),
          z.null(),
        ]),
        cloud_role: z.union([z.string(), z.null()]),
        effect: z.enum(EFFECTS),
        policy: z
          .strictObject({
            verdict: z.enum(["allowed", "approval", "denied"]),
            detail: z.union([z.string(), z.null()]),
          })
          .describe("What the policies of tenant and key say to it; `approval`: a person must agree first."),
      }),
    ),
    on_failure: z.enum(["run_fails", "run_goes_on", "fallback"]),
    when_unclear: z.enum(["tried_again", "asks_the_service", "waits_for_a_person", "nothing_to_repeat"]),
    undo: z.enum(["by_compensation", "left_behind", "not_needed"]),
  });
