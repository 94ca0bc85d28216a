/** Secrets that can be known by their shape alone, for places that do not know which secrets are in play. Pure. */

export const REDACTED = "[REDACTED]";

/** Each one linear: no nested repetition, so a long text costs its length. */
const SHAPES: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  // Credentials of HTTP headers, RFC 9110 section 11 and RFC 6750.
  [/\b(Bearer|Basic|Token|DPoP)\s+[A-Za-z0-9._~+/=-]{8,}/gi, `$1 ${REDACTED}`],
  // User-info and secret query parameters of URLs.
  [/(:\/\/)[^\s/@]{1,512}@/g, `$1${REDACTED}@`],
  [
    /([?&](?:access_token|api_?key|assertion|client_secret|code|id_token|key|password|refresh_token|secret|sig|signature|state|token|x-amz-signature|x-amz-security-token)=)[^&\s#"']+/gi,
    `$1${REDACTED}`,
  ],
  // Our own API keys, and keys of others with a prefix of their own.
  [/\bsck_[A-Za-z0-9]{16,}/g, REDACTED],
  [/\bwhs[ekp][a-z]*_[A-Za-z0-9+/=_-]{16,}/g, REDACTED],
  [
    /\b(?:gh[oprsu]_|github_pat_|glpat-|xox[abeoprs]-|sk-|sk_|rk_|npm_|pat-|shpat_|secret_|ya29\.)[A-Za-z0-9._-]{16,}/g,
    REDACTED,
  ],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g, REDACTED],
  // JSON Web Tokens: the first part is base64url of `{"`. Not within a longer word, or each `-eyJ` would be a beginning.
  [/(?<![\w-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{2,}(?:\.[A-Za-z0-9_-]*){1,3}/g, REDACTED],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, REDACTED],
];

/** The text with everything that looks like a secret replaced by `[REDACTED]`. */
export function redactShapes(text: string): string {
  return SHAPES.reduce((rest, [pattern, replacement]) => rest.replace(pattern, replacement), text);
}
