import { describe, expect, test } from "vitest";
import { html, isSameOrigin, pageResponse, readForm } from "../../src/platform/index.ts";

const ORIGIN = "https://showcaller.example";

describe("html", () => {
  test("escapes what is filled in, in content and in quoted attributes", () => {
    const bad = `<script>"'&</script>`;
    const made = html`<p title="${bad}">${bad}</p>`;
    const safe = "&lt;script&gt;&quot;&#39;&amp;&lt;/script&gt;";
    expect(made.source).toBe(`<p title="${safe}">${safe}</p>`);
  });

  test("takes markup that it made as it is, lists part by part, and nothing for null", () => {
    const parts = ["<a>", null, html`<b>b</b>`, 3];
    expect(html`<p>${parts}</p>`.source).toBe("<p>&lt;a&gt;<b>b</b>3</p>");
  });

  test("takes nothing else for markup, whatever it looks like", () => {
    const forged = JSON.parse('{"source": "<script>"}') as never;
    expect(() => html`<p>${forged}</p>`).toThrow(TypeError);
  });

  test.each(["\u202e", "\u2066", "\u200f", "\u061c", "\u0000", "\u001b"])(
    "makes a character that turns or hides text stand out (%j)",
    (char) => {
      expect(html`${`a${char}b`}`.source).toBe("a\ufffdb");
    },
  );

  test("keeps line breaks and letters of every script", () => {
    expect(html`${"שלום\nعالم 你好"}`.source).toBe("שלום\nعالم 你好");
  });
});

describe("a page", () => {
  test("has the headers of every page, which its maker cannot replace, and its maker's cookies", () => {
    const headers = new Headers({ "x-frame-options": "ALLOWALL", "set-cookie": "a=1" });
    const answer = pageResponse({ title: "T", body: html`` }, { status: 404, headers });
    expect(answer.status).toBe(404);
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      "cache-control": "no-store",
      "content-type": "text/html; charset=utf-8",
      "referrer-policy": "no-referrer",
      "set-cookie": "a=1",
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY",
    });
    expect(answer.headers.get("content-security-policy")).toMatch(
      /^default-src 'none'; style-src 'nonce-[\w-]{36}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'$/,
    );
  });

  test("allows the style that it has, by a nonce that no other answer has", async () => {
    const nonces = new Set<string>();
    for (let i = 0; i < 3; i += 1) {
      const answer = pageResponse({ title: "T", body: html`` });
      const nonce = /'nonce-([\w-]+)'/.exec(answer.headers.get("content-security-policy") ?? "")?.[1] ?? "";
      expect(await answer.text()).toContain(`<style nonce="${nonce}">`);
      nonces.add(nonce);
    }
    expect(nonces.size).toBe(3);
  });

  test("lets its forms lead to the origins that were named, and to nothing of their paths", () => {
    const formsLeadTo = ["https://login.agenda.example/auth?client_id=1; script-src *"];
    const answer = pageResponse({ title: "T", body: html`` }, { formsLeadTo });
    expect(answer.headers.get("content-security-policy")).toContain(
      "form-action 'self' https://login.agenda.example; base-uri",
    );
  });

  test("escapes its title", async () => {
    const text = await pageResponse({ title: "</title><script>", body: html`` }).text();
    expect(text).not.toContain("<script>");
  });
});

describe("a form", () => {
  const sent = (headers: Record<string, string>, body = "a=1"): Request =>
    new Request(`${ORIGIN}/x`, { method: "POST", body, headers });

  test.each<[Record<string, string>, boolean]>([
    [{ "sec-fetch-site": "same-origin" }, true],
    [{ "sec-fetch-site": "same-origin", origin: "null" }, true],
    [{ "sec-fetch-site": "same-origin", origin: ORIGIN }, true],
    [{ origin: ORIGIN }, true],
    [{ "sec-fetch-site": "same-origin", origin: "https://evil.example" }, false],
    [{ "sec-fetch-site": "same-site", origin: ORIGIN }, false],
    [{ "sec-fetch-site": "cross-site" }, false],
    [{ "sec-fetch-site": "none" }, false],
    [{ origin: "null" }, false],
    [{}, false],
  ])("with %j is ours: %s", (headers, ours) => {
    expect(isSameOrigin(sent(headers))).toBe(ours);
  });

  test("is read if it is one and is not too large", async () => {
    const type = { "content-type": "application/x-www-form-urlencoded" };
    expect((await readForm(sent(type, "a=1&b=%20"))).get("b")).toBe(" ");
    expect([...(await readForm(sent({ "content-type": "application/json" })))]).toEqual([]);
    expect([...(await readForm(sent(type, `a=${"x".repeat(9_000)}`)))]).toEqual([]);
  });
});
