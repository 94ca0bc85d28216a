/** An operator's change of all keys that seal and sign: the keyring and a tenant's signing key. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Build } from "../dev-server/index.ts";
import type { Caller } from "./calls.ts";
import { changeKeyring, letQuietPass } from "./keyring.ts";
import type { Keys } from "./population.ts";
import type { Stage } from "./stage.ts";

/** Keyring and signing key at once: the four stages of the one, with the restarts that they take, around the other. */
export async function changeKeys(
  stage: Stage,
  caller: Caller,
  keys: Keys,
  restart: (build: Build) => Promise<void>,
  kill: () => Promise<void>,
  up: (build: Build) => Promise<void>,
): Promise<{ active: string; moved: number; signing: string }> {
  const issuer = async (): Promise<readonly { kid: string; state: string }[]> => {
    const ask = { method: "GET", path: "/v1/issuer", key: keys.admin };
    return (await caller.insist<{ keys: { kid: string; state: string }[] }>("issuer.get", ask, [200])).keys;
  };
  const before = await issuer();
  await changeKeyring(stage, caller.url, "add", "--kid", "k2");
  await restart(stage.next);
  await caller.insist(
    "issuer.rotate",
    { method: "POST", path: "/v1/issuer/rotate", key: keys.admin },
    [200, 202],
  );
  // The deployment notes the key when it first has it; nothing of it may be sealed before.
  await caller.insist("vault.keys", { method: "GET", path: "/v1/vault/keys", key: keys.root }, [200]);
  await changeKeyring(stage, caller.url, "activate", "k2", "--wait", "0");
  await restart(stage.next);
  let moved = 0;
  for (let done = false; !done;) {
    const ask = { method: "POST", path: "/v1/vault/rewrap", key: keys.root, body: { limit: 500 } };
    const swept = await caller.insist<{ done: boolean; rewrapped: Record<string, number> }>(
      ...(["vault.rewrap", ask, [200]] as const),
    );
    for (const count of Object.values(swept.rewrapped)) moved += count;
    done = swept.done;
  }
  const [leaked] = before;
  if (leaked !== undefined)
    await caller.insist(
      "issuer.revoke",
      { method: "POST", path: `/v1/issuer/keys/${leaked.kid}/revoke`, key: keys.admin },
      [200, 202],
    );
  const early = await changeKeyring(stage, caller.url, "drop", "k1").then(
    () => "dropped",
    (error: unknown) => String(error),
  );
  if (!early.includes("key_in_use")) caller.wrong(`k1 was dropped at once: ${early.slice(0, 300)}`);
  await kill();
  letQuietPass(stage.state, "k1");
  await up(stage.next);
  await changeKeyring(stage, caller.url, "drop", "k1");
  await restart(stage.next);
  await sleep(5_000);
  const after = await issuer();
  if (after.some(({ kid }) => kid === leaked?.kid && leaked !== undefined))
    caller.wrong(`the revoked signing key is published still`);
  const { active } = JSON.parse(stage.secrets.KEYRING) as { active: string };
  return { active, moved, signing: `${before.length} before, ${after.length} after` };
}
