/** RFC 8693, at a service that the role names. Pure. */
import type { Result } from "../../platform/index.ts";
import type { CloudCredential, TokenExchangeTarget } from "../role.ts";
import { ACCESS_TOKEN, ID_TOKEN, JWT, readBearer, TOKEN_EXCHANGE } from "./oauth.ts";
import { type Context, type ExchangeFault, formOf, type TokenAnswer, type TokenRequest } from "./shapes.ts";

export function tokenExchangeRequest(target: TokenExchangeTarget, jwt: string): TokenRequest {
  const { tokenUrl, subjectTokenType, requestedAudience, resource, scopes, clientId } = target;
  return {
    url: tokenUrl,
    ...formOf({
      grant_type: TOKEN_EXCHANGE,
      subject_token: jwt,
      subject_token_type: subjectTokenType === "jwt" ? JWT : ID_TOKEN,
      requested_token_type: ACCESS_TOKEN,
      audience: requestedAudience,
      resource,
      scope: scopes === undefined || scopes.length === 0 ? undefined : scopes.join(" "),
      client_id: clientId,
    }),
  };
}

export function readTokenExchange(
  answer: TokenAnswer,
  context: Context,
): Result<CloudCredential, ExchangeFault> {
  return readBearer(answer, context, {});
}
