/** The clouds of the world against the tokens of a test's own issuer. */
import { afterAll, beforeAll, describe, test } from "vitest";
import { startWorld, type World } from "../world/index.ts";
import { trustSource } from "./cloud-clients.ts";
import { startIssuer, type TestIssuer } from "./cloud-issuer.ts";
import { expectAnswer, type MutableSource, taken, testMutations } from "./cloud-mutations.ts";
import { AUDIENCES, SERVICES } from "./cloud-trust.ts";

let world: World;
let issuer: TestIssuer;

beforeAll(async () => {
  [world, issuer] = await Promise.all([startWorld(), startIssuer()]);
  await trustSource({ world, source: issuer });
});
afterAll(async () => {
  await Promise.all([world.close(), issuer.close()]);
});

const source = (): MutableSource => ({
  ...issuer,
  ...{ kid: "rsa", otherKid: "retired", foreignKey: issuer.keys.retired },
});

testMutations(() => ({ world, source: source() }));

describe.each(SERVICES)("%s", (service) => {
  test("alg: ES256 by a key of the issuer", async () => {
    const token = await issuer.sign(AUDIENCES[service], {
      header: { alg: "ES256", kid: "ec" },
      key: issuer.keys.ec,
    });
    await expectAnswer(world, service, token, taken({ azure: "401 700027 (alg)" })[service]);
  });

  test("kid: missing, where the issuer has one key", async () => {
    issuer.show("rsa");
    world.clouds.forget();
    const token = await issuer.sign(AUDIENCES[service], { header: { kid: undefined } });
    await expectAnswer(world, service, token, service === "gcp" ? "400 invalid_grant (kid)" : "taken");
    issuer.show("rsa", "retired", "ec");
    world.clouds.forget();
  });
});
