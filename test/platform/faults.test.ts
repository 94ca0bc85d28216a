import { expect, test } from "vitest";
import { classifyFault } from "../../src/platform/index.ts";

test.each([
  ["Durable Object reset because its code was updated.", "later"],
  ["D1_ERROR: D1 DB reset because its code was updated.", "later"],
  ["This script has been upgraded. Please send a new request to connect to the new version.", "later"],
  ["Durable Object storage operation exceeded timeout which caused object to be reset.", "later"],
  ["Internal error while starting up Durable Object storage caused object to be reset.", "later"],
  ["Network connection lost.", "later"],
  ["Cannot resolve Durable Object due to transient issue on remote node.", "later"],
  ["internal error; reference = qki1kt3bctlvpsekd0l6cble", "later"],
  ["Durable Object is overloaded. Too many requests queued.", "never"],
  ["Durable Object is overloaded. Requests queued for too long.", "never"],
  ["D1_ERROR: D1 DB is overloaded. Too many requests queued.", "never"],
  ["string or blob too big: SQLITE_TOOBIG", "never"],
  ["database or disk is full: SQLITE_FULL", "never"],
  ["Durable Object's isolate exceeded its memory limit and was reset.", "poison"],
  ["Worker exceeded memory limit.", "poison"],
  ["Too many subrequests by single Worker invocation.", "hop"],
  ["Too many subrequests.", "hop"],
  ["Durable Object exceeded its CPU time limit and was reset.", "hop"],
  ["Worker exceeded CPU time limit.", "hop"],
])("%s: %s", (message, kind) => {
  expect(classifyFault(new Error(message))).toEqual({ kind, message });
});

test("a fault is found behind its causes", () => {
  const fault = new Error("Network connection lost.");
  const error = new Error("refresh failed", { cause: new Error("call failed", { cause: fault }) });
  expect(classifyFault(error)).toEqual({ kind: "later", message: "Network connection lost." });
});

test("the platform's flags decide where the words are unknown; overloaded wins", () => {
  expect(classifyFault(Object.assign(new Error("new words"), { retryable: true }))?.kind).toBe("later");
  expect(
    classifyFault(Object.assign(new Error("new words"), { retryable: true, overloaded: true }))?.kind,
  ).toBe("never");
  expect(classifyFault(Object.assign(new Error("new words"), { durableObjectReset: true }))?.kind).toBe(
    "later",
  );
});

test("words decide before flags: a code update is marked retryable, running out of memory may be too", () => {
  const error = Object.assign(
    new Error("Durable Object's isolate exceeded its memory limit and was reset."),
    { retryable: true },
  );
  expect(classifyFault(error)?.kind).toBe("poison");
});

test.each([new Error("boom"), new TypeError("x is not a function"), "Network", null, undefined, 7, {}])(
  "%s is no fault",
  (error) => {
    expect(classifyFault(error)).toBeNull();
  },
);

test("a circle of causes ends", () => {
  const error = new Error("round");
  error.cause = error;
  expect(classifyFault(error)).toBeNull();
});
