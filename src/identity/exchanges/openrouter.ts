/** RFC 8693 at OpenRouter. https://openrouter.ai/docs/guides/overview/auth/workload-identity-federation. Pure. */
import type { Result } from "../../platform/index.ts";
import type { CloudCredential, OpenRouterTarget } from "../role.ts";
import { JWT, readBearer, TOKEN_EXCHANGE } from "./oauth.ts";
import {
  type Context,
  type ExchangeFault,
  formOf,
  type Table,
  type TokenAnswer,
  type TokenRequest,
} from "./shapes.ts";

const URL = "https://openrouter.ai/api/v1/oauth/token";

const POLICY =
  "Under Settings, Workload identity, the policy that the role names must be of this issuer, subject and audience, letter by letter.";
const ERRORS: Table = {
  invalid_grant: { kind: "configuration", remint: true, settles: true, change: POLICY },
  invalid_request: { kind: "configuration", remint: true, settles: true, change: POLICY },
  invalid_target: { kind: "configuration", change: POLICY },
  unauthorized_client: { kind: "configuration", change: POLICY },
};

export function openRouterRequest({ federationPolicyId }: OpenRouterTarget, jwt: string): TokenRequest {
  return {
    url: URL,
    ...formOf({
      grant_type: TOKEN_EXCHANGE,
      subject_token: jwt,
      subject_token_type: JWT,
      federation_policy_id: federationPolicyId,
    }),
  };
}

/** Its tokens never outlive the one that they were exchanged for. */
export function readOpenRouter(
  answer: TokenAnswer,
  context: Context,
): Result<CloudCredential, ExchangeFault> {
  return readBearer(answer, context, ERRORS, { maxExpiresAt: context.token.expiresAt });
}
