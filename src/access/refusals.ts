/** Why access was not given: every code, its HTTP status, its words. Pure. */

/** Why a request has no identity. Whoever gets `key_expired` or `key_revoked` holds the key's text already. */
const AUTH_FAILURES = {
  credentials_missing: [401, "Send an API key: Authorization: Bearer sck_..."],
  credentials_malformed: [401, "The Authorization header is not of the form: Bearer sck_..."],
  key_malformed: [401, "The API key is not complete or has a typing error. Copy it again."],
  key_unknown: [401, "There is no such API key."],
  key_expired: [401, "The API key has expired. Ask for a new one where it was made."],
  key_revoked: [401, "The API key was revoked. Ask for a new one where it was made."],
  token_refused: [401, "The token is not taken here."],
  access_unavailable: [503, "The API key could not be checked just now. Try again in a few seconds."],
} as const satisfies Record<string, readonly [status: number, message: string]>;

export type AuthFailureCode = keyof typeof AUTH_FAILURES;

export interface AuthFailure {
  readonly code: AuthFailureCode;
  readonly status: 401 | 503;
  readonly message: string;
}

/** @param why in the place of the usual words */
export function authFailure(code: AuthFailureCode, why?: string): AuthFailure {
  const [status, message] = AUTH_FAILURES[code];
  return { code, status, message: why ?? message };
}

/** Why an identity may not have what it asks for. */
const REFUSALS = {
  /** The scope is missing, or only root may. */
  forbidden: 403,
  /** A key would get scopes that its maker has not. */
  scope_wider: 403,
  /** A key would act for a user that its maker may not act for. */
  user_wider: 403,
  /** A key would outlive its maker. */
  expiry_wider: 403,
  /** A key bound to a user would get a scope that such keys never have. */
  scope_not_for_users: 403,
  /** The maker was revoked or has expired since it was looked up. */
  maker_ended: 403,
  /** Root makes admin keys only. */
  admin_keys_only: 403,
  tenant_unknown: 404,
  key_unknown: 404,
  issuer_unknown: 404,
  tenant_exists: 409,
  issuer_exists: 409,
  /** The tenant has as many as it may have. */
  too_many: 429,
  /** A field breaks its grammar or limit; `pointer` says which. */
  invalid: 422,
} as const satisfies Record<string, number>;

export type AccessRefusalCode = keyof typeof REFUSALS;

export interface AccessRefusal {
  readonly code: AccessRefusalCode;
  readonly status: (typeof REFUSALS)[AccessRefusalCode];
  readonly message: string;
  /** JSON Pointer into the request's body. */
  readonly pointer?: string;
}

export function refuse(code: AccessRefusalCode, message: string, pointer?: string): AccessRefusal {
  return { code, status: REFUSALS[code], message, ...(pointer === undefined ? {} : { pointer }) };
}
