/** Entra ID: client credentials with our token as assertion. Pure. */
import { err, type Result } from "../../platform/index.ts";
import type { AzureTarget, CloudCredential } from "../role.ts";
import { readBearer } from "./oauth.ts";
import {
  type Context,
  EXPIRED,
  type ExchangeFault,
  faultOf,
  formOf,
  jsonOf,
  PASSING,
  type Table,
  textOf,
  type TokenAnswer,
  type TokenRequest,
  type Verdict,
} from "./shapes.ts";

const HOST = "login.microsoftonline.com";

const NO_RECORD: Verdict = {
  kind: "configuration",
  settles: true,
  change:
    "The app registration or managed identity needs a federated credential with exactly this issuer, subject and audience; all three are compared letter by letter.",
};
const SIGNATURE: Verdict = {
  kind: "configuration",
  remint: true,
  settles: true,
  change:
    "Entra ID does not know the key of the signature: the federated credential must name this issuer, whose discovery document must be reachable.",
};
const APPLICATION: Verdict = {
  kind: "configuration",
  change:
    "The directory has no such application, or it is disabled: correct the role's client id or directory.",
};
const CREDENTIALS: Verdict = {
  kind: "configuration",
  change:
    "Entra ID does not take the token as the application's credential: make a federated credential for it.",
};

/** By the number behind `AADSTS`; those of a bare status or an OAuth code come after. */
const ERRORS: Table = {
  "70021": NO_RECORD,
  "700211": NO_RECORD,
  "700213": NO_RECORD,
  "7002138": NO_RECORD,
  "90006": PASSING,
  "90012": PASSING,
  "90024": PASSING,
  "90033": PASSING,
  "90055": PASSING,
  "90090": PASSING,
  "700024": EXPIRED,
  "700027": SIGNATURE,
  "900384": SIGNATURE,
  "700016": APPLICATION,
  "7000112": APPLICATION,
  "7000215": CREDENTIALS,
  "7000218": CREDENTIALS,
  "7000222": CREDENTIALS,
  "90002": { kind: "configuration", change: "There is no such directory: correct that of the role." },
  "700022": {
    kind: "configuration",
    change: "The scope must be one resource with `/.default`: correct that of the role.",
  },
};
const MAX_CODES = 16;

export function azureRequest({ directory, clientId, scope }: AzureTarget, jwt: string): TokenRequest {
  return {
    url: `https://${HOST}/${encodeURIComponent(directory)}/oauth2/v2.0/token`,
    ...formOf({
      client_id: clientId,
      scope,
      grant_type: "client_credentials",
      client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
      client_assertion: jwt,
    }),
  };
}

export function readAzure(answer: TokenAnswer, context: Context): Result<CloudCredential, ExchangeFault> {
  const body = jsonOf(answer.body);
  const { error_codes: codes, error_description: words } = body;
  if (Array.isArray(codes)) {
    const numbers = codes
      .slice(0, MAX_CODES)
      .filter((one): one is number => Number.isInteger(one) && (one as number) > 0)
      .map(String);
    const code = numbers.find((one) => Object.hasOwn(ERRORS, one)) ?? numbers[0];
    if (code !== undefined) return err(faultOf(ERRORS, { code, words: textOf(words) }, answer, context));
  }
  return readBearer(answer, context, {});
}
