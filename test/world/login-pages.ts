/** The one page of the login server: who are you, and what of it may the app do. Plain forms, no script. */
import type Provider from "oidc-provider";
import type { Interaction } from "oidc-provider";
import { readBody, type IncomingMessage, type ServerResponse } from "./http.ts";

/** Not asked for: without them there is nothing to consent to. */
const GIVEN = new Set(["openid", "offline_access"]);
const USER = /^[a-z0-9][a-z0-9._-]{0,63}$/;

export async function interact(provider: Provider, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const asked = await provider.interactionDetails(req, res);
  if (req.method !== "POST") return show(res, asked);
  const body = await readBody(req);
  const form = new URLSearchParams(body.kind === "read" ? body.bytes.toString() : "");
  if (form.get("answer") !== "allow") {
    const denied = { error: "access_denied", error_description: "The user said no." };
    return provider.interactionFinished(req, res, denied);
  }
  const accountId = asked.session?.accountId ?? form.get("user") ?? "";
  if (!USER.test(accountId)) return show(res, asked);
  const grant = new provider.Grant({ accountId, clientId: asked.params["client_id"] ?? "" });
  const ticked = new Set(form.getAll("scope"));
  for (const scope of scopesOf(asked)) {
    if (GIVEN.has(scope) || ticked.has(scope)) grant.addOIDCScope(scope);
    else grant.rejectOIDCScope(scope);
  }
  const grantId = await grant.save();
  return provider.interactionFinished(req, res, { login: { accountId }, consent: { grantId } });
}

function scopesOf({ params }: Interaction): string[] {
  return (params["scope"] ?? "").split(" ").filter((scope) => /^[\w.:-]+$/.test(scope));
}

function show(res: ServerResponse, asked: Interaction): void {
  const known = asked.session?.accountId;
  const who =
    known === undefined
      ? `<p><label for="user">User name</label> <input id="user" name="user" required autocomplete="username"></p>`
      : `<p>You are ${known}.</p>`;
  const boxes = scopesOf(asked)
    .filter((scope) => !GIVEN.has(scope))
    .map((s) => `<p><label><input type="checkbox" name="scope" value="${s}" checked> ${s}</label></p>`);
  res.writeHead(200, {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
  });
  res.end(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Agenda: allow access?</title></head>
<body><main><h1>Allow Showcaller to use your Agenda?</h1>
<form method="post">${who}<fieldset><legend>It may</legend>${boxes.join("")}</fieldset>
<p><button name="answer" value="allow">Allow</button> <button name="answer" value="deny" formnovalidate>Deny</button></p>
</form></main></body></html>`);
}
