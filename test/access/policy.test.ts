import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  chainOf,
  judgeRequest,
  judgeStart,
  type KeyIdentity,
  policySchema,
  standingOf,
} from "../../src/access/index.ts";
import { readPath } from "../../src/access/policy-path.ts";

const SKYLINE = "api.skyline.example";

/** What a policy says to a request, in one word. The URL is read as egress reads it. */
function said(policies: readonly unknown[], method: string, text: string): string {
  const url = new URL(text);
  const chain = chainOf(policies[0] ?? null, policies.slice(1));
  const verdict = judgeRequest(chain, { host: url.hostname, method, path: url.pathname });
  if (verdict.kind === "denied") return "denied";
  return verdict.approval ? "approval" : "allowed";
}

function key(user: string | null, policies: KeyIdentity["policies"]): KeyIdentity {
  return {
    kind: "key",
    tenant: "t",
    keyId: "key_1",
    user,
    scopes: new Set(["*"]),
    policies,
    expiresAt: null,
  };
}

describe("a policy and a request", () => {
  const hosts = (...rules: readonly object[]) => ({ hosts: rules });
  const exact = hosts({ host: SKYLINE });
  const below = hosts({ host: "*.skyline.example" });
  const reads = hosts({ host: SKYLINE, methods: ["GET"] });
  const bookings = hosts({ host: SKYLINE, paths: ["/bookings/*"] });
  const one = hosts({ host: SKYLINE, paths: ["/bookings"] });
  const middle = hosts({ host: SKYLINE, paths: ["/users/*/mail"] });
  const root = hosts({ host: SKYLINE, paths: ["/"] });
  const writes = hosts({ host: "*", approval: "writes" });
  const guarded = hosts({ host: SKYLINE }, { host: SKYLINE, paths: ["/payments/*"], approval: "always" });
  const https = (path: string, host = SKYLINE): string => `https://${host}${path}`;

  test.each([
    ["no policy", null, "POST", https("/"), "allowed"],
    ["an empty policy", {}, "POST", https("/"), "allowed"],
    ["no host", hosts(), "GET", https("/"), "denied"],

    ["the host", exact, "POST", https("/x"), "allowed"],
    ["the host in capitals", exact, "GET", "https://API.Skyline.Example/x", "allowed"],
    ["the host with its port", exact, "GET", "https://api.skyline.example:443/x", "allowed"],
    ["another host", exact, "GET", https("/", "evil.example"), "denied"],
    ["the host as user-info", exact, "GET", "https://api.skyline.example@evil.example/", "denied"],
    ["the host before a backslash", exact, "GET", "https://evil.example\\@api.skyline.example/", "denied"],
    ["the host as a path", exact, "GET", "https://evil.example/api.skyline.example", "denied"],
    ["the host as a fragment", exact, "GET", "https://evil.example/#api.skyline.example", "denied"],
    ["a name that ends like it", exact, "GET", https("/", "evil-api.skyline.example"), "denied"],
    ["a name that begins like it", exact, "GET", https("/", "api.skyline.example.evil.example"), "denied"],
    ["a name below it", exact, "GET", https("/", "a.api.skyline.example"), "denied"],
    ["a trailing dot", exact, "GET", https("/", "api.skyline.example."), "denied"],
    ["a look-alike in Cyrillic", exact, "GET", "https://api.skуline.example/", "denied"],
    ["full-width letters, which are the same name", exact, "GET", "https://ａpi.skyline.example/", "allowed"],
    ["an ideographic full stop, which is a dot", exact, "GET", "https://api。skyline.example/", "allowed"],

    ["a name below", below, "GET", https("/"), "allowed"],
    ["a name far below", below, "GET", https("/", "a.b.skyline.example"), "allowed"],
    ["the name itself", below, "GET", https("/", "skyline.example"), "denied"],
    ["a suffix that is no label", below, "GET", https("/", "evilskyline.example"), "denied"],

    ["a method", reads, "GET", https("/x"), "allowed"],
    ["another method", reads, "POST", https("/x"), "denied"],
    ["HEAD is not GET", reads, "HEAD", https("/x"), "denied"],
    ["a method in small letters", reads, "get", https("/x"), "denied"],

    ["below a path", bookings, "GET", https("/bookings/1"), "allowed"],
    ["far below a path", bookings, "GET", https("/bookings/1/seats"), "allowed"],
    ["a path with a slash behind it", bookings, "GET", https("/bookings/"), "allowed"],
    ["a path and a query", bookings, "GET", https("/bookings/1?to=/admin"), "allowed"],
    ["encoded letters, which are the same", bookings, "GET", https("/%62ookings/1"), "allowed"],
    ["the path itself", bookings, "GET", https("/bookings"), "denied"],
    ["a path that begins alike", bookings, "GET", https("/bookingsX/1"), "denied"],
    ["capitals", bookings, "GET", https("/Bookings/1"), "denied"],
    ["dots", bookings, "GET", https("/bookings/../admin"), "denied"],
    ["encoded dots", bookings, "GET", https("/bookings/%2e%2e/admin"), "denied"],
    ["half-encoded dots", bookings, "GET", https("/bookings/.%2E/admin"), "denied"],
    ["twice encoded dots", bookings, "GET", https("/bookings/%252e%252e/admin"), "denied"],
    ["an encoded slash", bookings, "GET", https("/bookings/..%2fadmin"), "denied"],
    ["an encoded backslash", bookings, "GET", https("/bookings/..%5cadmin"), "denied"],
    ["a backslash", bookings, "GET", https("/bookings\\..\\admin"), "denied"],
    ["a double slash", bookings, "GET", https("/bookings//admin"), "denied"],
    ["a slash before", bookings, "GET", https("//bookings/1"), "denied"],
    ["a matrix parameter", bookings, "GET", https("/bookings/..;/admin"), "denied"],
    ["an encoded semicolon", bookings, "GET", https("/bookings/..%3b/admin"), "denied"],
    ["a NUL", bookings, "GET", https("/bookings/1%00"), "denied"],
    ["a line feed", bookings, "GET", https("/bookings/1%0a"), "denied"],
    ["an overlong slash", bookings, "GET", https("/bookings/..%c0%afadmin"), "denied"],
    ["a full-width slash", bookings, "GET", https("/bookings/..／admin"), "denied"],
    ["full-width dots", bookings, "GET", https("/bookings/．．/admin"), "denied"],
    ["a two-dot leader", bookings, "GET", https("/bookings/‥/admin"), "denied"],
    ["an escape that is none", bookings, "GET", https("/bookings/%zz"), "denied"],
    ["a tab that the parser takes out", bookings, "GET", https("/book\tings/1"), "allowed"],
    ["other scripts", bookings, "GET", https("/bookings/Zürich"), "allowed"],

    ["exactly a path", one, "GET", https("/bookings"), "allowed"],
    ["a slash more", one, "GET", https("/bookings/"), "denied"],
    ["one segment in the middle", middle, "GET", https("/users/ada/mail"), "allowed"],
    ["an empty segment in the middle", middle, "GET", https("/users//mail"), "denied"],
    ["two segments in the middle", middle, "GET", https("/users/ada/x/mail"), "denied"],
    ["more behind it", middle, "GET", https("/users/ada/mail/1"), "denied"],
    ["the root", root, "GET", https(""), "allowed"],
    ["not the root", root, "GET", https("/x"), "denied"],
    ["an odd path where no rule speaks of paths", exact, "GET", https("//x;y/%2f"), "allowed"],

    ["a read where writes need approval", writes, "GET", https("/"), "allowed"],
    ["a HEAD where writes need approval", writes, "HEAD", https("/"), "allowed"],
    ["a write", writes, "POST", https("/"), "approval"],
    ["a DELETE", writes, "DELETE", https("/"), "approval"],
    ["a method that nobody knows", writes, "PURGE", https("/"), "approval"],
    ["beside what needs approval", guarded, "POST", https("/quotes"), "allowed"],
    ["what needs approval", guarded, "GET", https("/payments/1"), "approval"],
    ["the same in capitals", guarded, "GET", https("/PAYMENTS/1"), "approval"],
    ["the same with a slash more", guarded, "GET", https("//payments/1"), "approval"],
    ["the same encoded", guarded, "GET", https("/x/..%2fpayments/1"), "approval"],
    ["the same without the rest", guarded, "GET", https("/payments"), "approval"],
    ["the same in full width", guarded, "GET", https("/ｐayments/1"), "approval"],
  ])("%s: %j, %s %s: %s", (_, policy, method, url, expected) => {
    expect(said([policy], method, url)).toBe(expected);
  });

  test("all of a chain must allow, and one that asks for an approval is enough", () => {
    const other = hosts({ host: "*.skyline.example", approval: "writes" });
    expect(said([exact, other, {}], "GET", https("/"))).toBe("allowed");
    expect(said([exact, other, {}], "POST", https("/"))).toBe("approval");
    expect(said([exact, reads], "POST", https("/"))).toBe("denied");
    expect(said([reads, exact], "POST", https("/"))).toBe("denied");
    expect(said([exact, hosts()], "GET", https("/"))).toBe("denied");
  });

  test("what cannot be read allows nothing, wherever it stands", () => {
    for (const policy of [{ hots: [] }, { hosts: "all" }, [], "all", 1, { ...exact, planets: ["mars"] }]) {
      expect(said([policy], "GET", https("/"))).toBe("denied");
      expect(said([null, policy], "GET", https("/"))).toBe("denied");
      expect(judgeStart(chainOf(null, [policy]), "book-trip").kind).toBe("denied");
    }
  });

  test("the refusal says whose policy it is and what it allows, and nothing of the path", () => {
    const verdict = judgeRequest(chainOf(null, [], [bookings]), {
      host: SKYLINE,
      method: "GET",
      path: "/secret-of-ada",
    });
    expect(verdict).toMatchObject({ kind: "denied", by: "appender" });
    expect(JSON.stringify(verdict)).toContain("/bookings/*");
    expect(JSON.stringify(verdict)).not.toContain("secret-of-ada");
  });

  test("of what is not known yet, a request is allowed if it can be, and marked if it may need an approval", () => {
    const ask = (policy: unknown, method: string | null, path: string | null, host = SKYLINE) =>
      judgeRequest(chainOf(policy), { host, method, path });
    expect(ask(bookings, "GET", null)).toEqual({ kind: "allowed", approval: false });
    expect(ask(bookings, "GET", null, "evil.example").kind).toBe("denied");
    expect(ask(reads, null, "/")).toEqual({ kind: "allowed", approval: false });
    expect(ask(guarded, "GET", null)).toEqual({ kind: "allowed", approval: true });
    expect(ask(writes, null, "/")).toEqual({ kind: "allowed", approval: true });
  });

  test("a rule that is added never lifts an approval, and a policy that is added never opens anything", () => {
    const rank = { denied: 2, approval: 1, allowed: 0 } as Record<string, number>;
    const rule = fc.record(
      {
        host: fc.constantFrom("*", SKYLINE, "*.skyline.example", "a.example"),
        methods: fc.constantFrom(["GET"], ["POST", "GET"]),
        paths: fc.constantFrom(["/a/*"], ["/a"], ["/*"]),
        approval: fc.constantFrom("never", "writes", "always"),
      },
      { requiredKeys: ["host"] },
    );
    const policy = fc.record({ hosts: fc.array(rule, { maxLength: 4 }) });
    const url = fc.constantFrom(https("/a"), https("/A/b"), https("/a//b"), https("/", "a.example"));
    fc.assert(
      fc.property(policy, policy, rule, fc.constantFrom("GET", "POST"), url, (a, b, more, method, to) => {
        const alone = said([a], method, to);
        expect(rank[said([a, b], method, to)]).toBeGreaterThanOrEqual(rank[alone] ?? 0);
        if (alone === "approval") expect(said([{ hosts: [...a.hosts, more] }], method, to)).toBe("approval");
      }),
      { numRuns: 300 },
    );
  });

  test("the longest path against the largest policy costs little", () => {
    const paths = Array.from({ length: 32 }, (_, i) => `/a/${i}/*`);
    const rule = { host: SKYLINE, paths, approval: "always" };
    const policy = { hosts: Array.from({ length: 64 }, () => rule) };
    said([policy], "GET", https("/"));
    const path = "/a".repeat(4_000);
    const from = performance.now();
    expect(said([policy], "GET", https(path))).toBe("denied");
    expect(performance.now() - from).toBeLessThan(200);
  });

  test("a path that is not ambiguous is the same to every reading: no separator, no dots, no escape is left in it", () => {
    const piece = fc.constantFrom(
      "a",
      "..",
      ".",
      "%2e",
      "%2F",
      "%5C",
      "%25",
      ";",
      "/",
      "//",
      "％",
      "．",
      "b%20c",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const segments = readPath(new URL(`https://a.example/${pieces.join("")}`).pathname);
        for (const segment of segments?.exact ?? []) {
          expect(segment.normalize("NFKC")).not.toMatch(/[/\\%;]/);
          expect([".", ".."]).not.toContain(segment.normalize("NFKC"));
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("a key that is bound to a user", () => {
  const ask = (tenant: unknown, own: KeyIdentity["policies"], user: string | null = "ada") =>
    judgeRequest(chainOf(tenant, standingOf(key(user, own))), { host: SKYLINE, method: "GET", path: "/" });
  const names = { hosts: [{ host: SKYLINE }] };

  test("reaches no host that no policy names", () => {
    expect(ask(null, []).kind).toBe("denied");
    expect(ask({}, [{ inline: true }]).kind).toBe("denied");
    expect(ask(null, [], null).kind).toBe("allowed");
  });

  test("reaches what the tenant's or one of its own names, and no policy of another denies", () => {
    expect(ask(names, []).kind).toBe("allowed");
    expect(ask(null, [names]).kind).toBe("allowed");
    expect(ask(null, [{ hosts: [{ host: "*" }] }]).kind).toBe("allowed");
    expect(ask({ hosts: [] }, [names]).kind).toBe("denied");
  });

  test("cannot be made to look unbound by a policy: the marker is none that anybody can store", () => {
    expect(policySchema().safeParse({ bound: true }).success).toBe(false);
    expect(policySchema().safeParse({ bound: true, hosts: [] }).success).toBe(false);
    expect(ask({ bound: true, hosts: [{ host: "*" }] }, []).kind).toBe("denied");
  });
});

describe("a policy and a start", () => {
  test.each([
    [{}, "book-trip", "allowed"],
    [{}, null, "allowed"],
    [{ inline: false }, "book-trip", "allowed"],
    [{ inline: false }, null, "denied"],
    [{ workflows: ["book-trip"] }, "book-trip", "allowed"],
    [{ workflows: ["book-trip"] }, "process-order", "denied"],
    [{ workflows: ["book-trip"] }, null, "denied"],
    [{ workflows: ["book-trip"], inline: true }, null, "allowed"],
    [{ workflows: [] }, "book-trip", "denied"],
    // No workflow has this name, and JSON steps are not let in by it.
    [{ workflows: ["inline"] }, null, "denied"],
  ] as const)("%j and %j: %s", (policy, workflow, expected) => {
    expect(judgeStart(chainOf(policy), workflow).kind).toBe(expected);
    expect(judgeStart(chainOf({}, [policy]), workflow).kind).toBe(expected);
  });
});

describe("a policy as it is written", () => {
  test.each([
    [{ hosts: [{ host: "Api.skyline.example" }] }, "hosts/0/host"],
    [{ hosts: [{ host: "api.skyline.example." }] }, "hosts/0/host"],
    [{ hosts: [{ host: "api.skyline.example/x" }] }, "hosts/0/host"],
    [{ hosts: [{ host: "https://api.skyline.example" }] }, "hosts/0/host"],
    [{ hosts: [{ host: "api.skуline.example" }] }, "hosts/0/host"],
    [{ hosts: [{ host: "*.com" }] }, "hosts/0/host"],
    [{ hosts: [{ host: "*skyline.example" }] }, "hosts/0/host"],
    [{ hosts: [{ host: "*-skyline.example" }] }, "hosts/0/host"],
    [{ hosts: [{ host: "api.*.example" }] }, "hosts/0/host"],
    [{ hosts: [{ host: "127.0.0.1" }] }, "hosts/0/host"],
    [{ hosts: [{ host: "localhost" }] }, "hosts/0/host"],
    [{ hosts: [{ host: "" }] }, "hosts/0/host"],
    [{ hosts: [{}] }, "hosts/0/host"],
    [{ hosts: [{ host: "*", methods: [] }] }, "hosts/0/methods"],
    [{ hosts: [{ host: "*", methods: ["get"] }] }, "hosts/0/methods/0"],
    [{ hosts: [{ host: "*", methods: ["CONNECT"] }] }, "hosts/0/methods/0"],
    [{ hosts: [{ host: "*", paths: [] }] }, "hosts/0/paths"],
    [{ hosts: [{ host: "*", paths: ["bookings"] }] }, "hosts/0/paths/0"],
    [{ hosts: [{ host: "*", paths: ["/a/../b"] }] }, "hosts/0/paths/0"],
    [{ hosts: [{ host: "*", paths: ["/a//b"] }] }, "hosts/0/paths/0"],
    [{ hosts: [{ host: "*", paths: ["/a%2fb"] }] }, "hosts/0/paths/0"],
    [{ hosts: [{ host: "*", paths: ["/a;b"] }] }, "hosts/0/paths/0"],
    [{ hosts: [{ host: "*", paths: ["/a?b"] }] }, "hosts/0/paths/0"],
    [{ hosts: [{ host: "*", paths: ["/a*"] }] }, "hosts/0/paths/0"],
    [{ hosts: [{ host: "*", approval: "sometimes" }] }, "hosts/0/approval"],
    [{ hosts: Array.from({ length: 65 }, () => ({ host: "*" })) }, "hosts"],
    [{ workflows: ["Book Trip"] }, "workflows/0"],
    [{ inline: "no" }, "inline"],
  ])("%j is refused at %s", (policy, at) => {
    const parsed = policySchema().safeParse(policy);
    expect(parsed.error?.issues.map(({ path }) => path.join("/"))).toContain(at);
  });

  test.each([{ hots: [] }, { hosts: [{ host: "*", path: "/x" }] }, [], null, "all"])(
    "%j is refused: an unknown field is no wish",
    (policy) => {
      expect(policySchema().safeParse(policy).success).toBe(false);
    },
  );
});
