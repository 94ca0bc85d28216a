/** RFC 7523 at Anthropic. https://platform.claude.com/docs/manage-claude/wif-reference. Pure. */
import { err, type Result } from "../../platform/index.ts";
import type { AnthropicTarget, CloudCredential } from "../role.ts";
import { readBearer } from "./oauth.ts";
import {
  type Context,
  type ExchangeFault,
  faultOf,
  PASSING,
  type Table,
  type TokenAnswer,
  type TokenRequest,
} from "./shapes.ts";

const URL = "https://api.anthropic.com/v1/oauth/token";
/** What their own library sends. */
const EXCHANGE_BETA = "oauth-2025-04-20,oidc-federation-2026-04-01";
const API_BETA = "oauth-2025-04-20";

const RULE =
  "The federation rule must be of this issuer, match this subject and audience, and name the role's service account; if it is for several workspaces, the role must name one.";
const REFUSED = { kind: "configuration", change: RULE } as const;
const ERRORS: Table = {
  // A token that is seen twice, is too old, or is signed with a key that they have not fetched yet.
  invalid_grant: { kind: "configuration", remint: true, settles: true, change: RULE },
  invalid_request: REFUSED,
  authentication_error: REFUSED,
  permission_error: REFUSED,
  not_found_error: REFUSED,
  invalid_request_error: REFUSED,
  rate_limit_error: PASSING,
  overloaded_error: PASSING,
  api_error: PASSING,
  timeout_error: PASSING,
};

export function anthropicRequest(target: AnthropicTarget, jwt: string): TokenRequest {
  const { organizationId, federationRuleId, serviceAccountId, workspaceId } = target;
  return {
    url: URL,
    headers: { "content-type": "application/json", "anthropic-beta": EXCHANGE_BETA },
    body: JSON.stringify({
      grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
      assertion: jwt,
      federation_rule_id: federationRuleId,
      organization_id: organizationId,
      service_account_id: serviceAccountId,
      workspace_id: workspaceId,
    }),
  };
}

export function readAnthropic(answer: TokenAnswer, context: Context): Result<CloudCredential, ExchangeFault> {
  // Whatever the body says: the rule does not match, or does not say for which workspace.
  if (answer.status === 401)
    return err(faultOf({ http_401: REFUSED }, { code: "http_401" }, answer, context));
  return readBearer(answer, context, ERRORS, { defaults: { "anthropic-beta": API_BETA } });
}
