/** Secrets that can be known by their shape alone, for places that do not know which secrets are in play. Pure. */

export const REDACTED = "[REDACTED]";

/** Each one linear: no nested repetition, so a long text costs its length. */
const SHAPES: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  // The header itself, RFC 9110 section 11: whatever follows the scheme.
  [
    /\b((?:proxy-)?authorization["']?\s{0,8}[:=]\s{0,8}["']?[a-z][a-z0-9-]{0,63}\s{1,8})[A-Za-z0-9._~+/=-]+/gi,
    `$1${REDACTED}`,
  ],
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

/** Credentials as they stand in the header, RFC 9110 section 11 and RFC 6750, but without its name. */
const CREDENTIALS = /\b(Bearer|Basic|Token|DPoP)(\s+)([A-Za-z0-9._~+/=-]{8,})/gi;
/** "Basic authentication", "the token endpoint": words of a sentence, and not what anybody would be lent. */
const WORDS = /^(?:[A-Z]?[a-z]{1,14}|[A-Z]{1,14})(?:[-/](?:[A-Z]?[a-z]{1,14}|[A-Z]{1,14})){0,2}[.]?$/;

/**
 * Shapes that nothing but a credential has. Each is among those above too, so what is found here is always redacted there.
 */
const UNMISTAKABLE: readonly RegExp[] = [
  /\bsck_[A-Za-z0-9]{32,}/,
  /\bwhs[ekp][a-z]*_[A-Za-z0-9+/=_-]{24,}/,
  /\b(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}/,
  /\b(?:gh[oprsu]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}|glpat-[A-Za-z0-9_-]{20,})/,
  /\bxox[abeoprs]-\d[A-Za-z0-9-]{16,}/,
  /\bsk-(?:ant|proj|or)-[A-Za-z0-9_-]{20,}/,
  /\bsk-[A-Za-z0-9]{32,}/,
  /\b(?:npm_[A-Za-z0-9]{36}|shpat_[0-9a-f]{32}|ya29\.[A-Za-z0-9_-]{20,})/,
  /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/,
  /(?<![\w-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}/,
  /-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----/,
];

/** Whether the text holds what is a credential by its shape alone, without doubt: for refusing it, where redacting is not enough. */
export function holdsSecret(text: string): boolean {
  return UNMISTAKABLE.some((shape) => shape.test(text));
}

/** The text with everything that looks like a secret replaced by `[REDACTED]`. */
export function redactShapes(text: string): string {
  const rest = SHAPES.reduce((left, [pattern, replacement]) => left.replace(pattern, replacement), text);
  return rest.replace(CREDENTIALS, (all, scheme: string, gap: string, value: string) =>
    WORDS.test(value) ? all : `${scheme}${gap}${REDACTED}`,
  );
}
