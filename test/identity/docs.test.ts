/** What docs/identity.md shows can be sent as it stands there, and its tables are of the fields that there are. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { CreateCloudRole, PutCloudRole, roleRequestOf } from "../../src/api/request-cloud-roles.ts";
import { compilePlan } from "../../src/define/index.ts";
import { draftRole } from "../../src/identity/roles.ts";

const RULES = { ownHosts: ["id.example.com"], issuerOrigin: "https://id.example.com" };
let text = "";
beforeAll(async () => {
  text = await readFile(join(import.meta.dirname, "../../docs/identity.md"), "utf8");
});

type Body = Readonly<Record<string, unknown>>;

function bodies(path: string): Body[] {
  const at = path.replaceAll("/", String.raw`\/`);
  const found = text.matchAll(new RegExp(String.raw`\$API${at}\b[^']*'[^']*'[^']*-d '(\{[^']*\})'`, "g"));
  return [...found].map(([, body = ""]) => JSON.parse(body) as Body);
}

describe("docs/identity.md", () => {
  it("makes roles that the API takes", () => {
    const roles = bodies("/v1/cloud-roles").filter((body) => "provider" in body);
    expect(roles.map(({ provider }) => provider)).toEqual(["aws", "anthropic"]);
    for (const role of roles) {
      const { name: _name, ...body } = CreateCloudRole.schema().parse(role);
      const drafted = draftRole(roleRequestOf(body), RULES);
      expect(drafted.ok ? null : drafted.error).toBeNull();
    }
  });

  it("stores a plan that can run, under the name that its role trusts, for a host of the role", () => {
    const [role = {}] = bodies("/v1/cloud-roles");
    const [plan] = bodies("/v1/workflows/store-invoice");
    expect(role["workflows"]).toEqual(["plan:store-invoice"]);
    const compiled = compilePlan(plan);
    expect(compiled.ok ? [] : compiled.errors).toEqual([]);
    const [host] = role["hosts"] as readonly string[];
    expect(JSON.stringify(plan)).toContain(`https://${host}/`);
  });

  it("names every field of every provider", () => {
    const schema = z.toJSONSchema(PutCloudRole.schema()) as {
      readonly oneOf: readonly { readonly properties: Body }[];
    };
    const fields = new Set(schema.oneOf.flatMap(({ properties }) => Object.keys(properties)));
    expect(fields.size).toBeGreaterThan(30);
    expect([...fields].filter((field) => !text.includes(`\`${field}\``))).toEqual([]);
  });
});
