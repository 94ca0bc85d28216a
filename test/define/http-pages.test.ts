import { describe, expect, it } from "vitest";
import { performAction, type ActionResult } from "../../src/actions/index.ts";
import type { Json } from "../../src/kernel/index.ts";
import { answered, call, outside } from "./support.ts";

const FIRST = "https://api.skyline.example/bookings?day=1";
const CURSOR = { by: "cursor", items: "/items", cursor: "/next", param: "cursor", max: 5 } as const;
const LINK = { by: "link", max: 5 } as const;

interface Sent {
  readonly result: ActionResult;
  readonly urls: readonly string[];
}

async function read(
  paginate: Json,
  answer: (url: URL) => { readonly body: Json; readonly link?: string; readonly status?: number },
  more: Readonly<Record<string, Json>> = {},
): Promise<Sent> {
  const world = outside(({ url }) => {
    const { body, link, status = 200 } = answer(new URL(url));
    return answered(status, body, link === undefined ? {} : { link });
  });
  const result = await performAction(call({ with: { method: "GET", url: FIRST, paginate, ...more } }), world);
  return { result, urls: world.requests.map(({ url }) => url) };
}

describe("pages", () => {
  it("by a cursor are asked for until there is none, and are one list", async () => {
    const { result, urls } = await read(CURSOR, (url) => {
      const at = Number(url.searchParams.get("cursor") ?? 0);
      return { body: { items: [at, at + 0.5], next: at === 2 ? null : at + 1 } };
    });
    expect(result).toMatchObject({
      kind: "success",
      output: { status: 200, body: [0, 0.5, 1, 1.5, 2, 2.5], pages: 3, more: false },
    });
    expect(urls).toEqual([FIRST, `${FIRST}&cursor=1`, `${FIRST}&cursor=2`]);
  });

  it("by a link are followed, also a relative one, and only the link that says next", async () => {
    const { result, urls } = await read(LINK, (url) =>
      url.searchParams.has("p")
        ? { body: ["b"], link: '<https://api.skyline.example/bookings>; rel="first"' }
        : { body: ["a"], link: '</x>; rel="prev", </bookings?p=2>; title="a;b"; rel="last next"' },
    );
    expect(result).toMatchObject({ kind: "success", output: { body: ["a", "b"], pages: 2, more: false } });
    expect(urls).toEqual([FIRST, "https://api.skyline.example/bookings?p=2"]);
  });

  it("end at their bound, and say that there are more", async () => {
    const { result, urls } = await read({ ...LINK, max: 2 }, (url) => ({
      body: [1],
      link: `</bookings?p=${Number(url.searchParams.get("p") ?? 0) + 1}>; rel=next`,
    }));
    expect(result).toMatchObject({ kind: "success", output: { body: [1, 1], pages: 2, more: true } });
    expect(urls).toHaveLength(2);
  });

  it.each([
    ["another host", "https://evil.example/bookings"],
    ["another port", "https://api.skyline.example:8443/bookings"],
    ["another scheme", "http://api.skyline.example/bookings"],
    ["a host without a scheme", "//evil.example/bookings"],
  ])("of %s are not asked for", async (_, next) => {
    const { result, urls } = await read(LINK, () => ({ body: [1], link: `<${next}>; rel="next"` }));
    expect(result).toMatchObject({ kind: "cannot", failure: { code: "egress_blocked" } });
    expect(urls).toEqual([FIRST]);
  });

  it("in a circle are noticed", async () => {
    const { result } = await read(LINK, () => ({ body: [1], link: `<${FIRST}>; rel="next"` }));
    expect(result).toMatchObject({ kind: "unusable", failure: { code: "output_invalid" } });
  });

  it("without a list are no pages", async () => {
    const { result } = await read(CURSOR, () => ({ body: { items: { a: 1 }, data: [] } }));
    // Asked for again, it would be the same.
    expect(result).toMatchObject({ kind: "cannot", failure: { code: "output_invalid" } });
    expect(JSON.stringify(result)).toContain("There is one at /data.");
  });

  it.each<[string, object]>([
    ["next_cursor", { next_cursor: "c2" }],
    ["nextPageToken", { nextPageToken: "c2" }],
    ["has_more", { has_more: true }],
  ])("of which %s says that there are more than the step finds are no whole answer", async (name, more) => {
    const { result, urls } = await read(CURSOR, () => ({ body: { items: [1], ...more } }));
    expect(result).toMatchObject({ kind: "cannot", failure: { code: "output_invalid" } });
    expect(JSON.stringify(result)).toContain(name);
    expect(urls).toHaveLength(1);
  });

  it.each<[string, object]>([
    ["nothing", {}],
    ["null", { next_cursor: null }],
    ["an empty text", { next_cursor: "" }],
    ["false", { has_more: false }],
    ["null where it is looked for", { next: null, next_page: "x" }],
  ])("of which %s says that there are more are all", async (_, more) => {
    const { result } = await read(CURSOR, () => ({ body: { items: [1], ...more } }));
    expect(result).toMatchObject({ kind: "success", output: { body: [1], more: false } });
  });

  it("that are too much together are not kept", async () => {
    const { result } = await read({ ...CURSOR, max: 100 }, (url) => ({
      body: { items: ["x".repeat(400_000)], next: Number(url.searchParams.get("cursor") ?? 0) + 1 },
    }));
    expect(result).toMatchObject({ kind: "unusable", failure: { code: "output_too_large" } });
  });

  it("of which one fails fail as it does: the attempt is made again", async () => {
    const { result } = await read(CURSOR, (url) =>
      url.searchParams.has("cursor") ? { body: null, status: 503 } : { body: { items: [1], next: 2 } },
    );
    expect(result).toMatchObject({ kind: "unclear", failure: { code: "http_503" } });
  });

  it("keep only the headers that the step asks for", async () => {
    const answer = () => ({ body: [1], link: '<https://api.skyline.example/x>; rel="prev"' });
    const { result } = await read(LINK, answer, { keep: { headers: ["content-type"] } });
    expect(result).toMatchObject({ output: { headers: { "content-type": "application/json" } } });
    expect(JSON.stringify(result)).not.toContain("link");
  });
});
