/** Fills in the parts of a descriptor that a tenant chooses, and checks that what comes out can be called. Pure. */
import { checkUrl, err, isPublicName, ok, type Result } from "../../platform/index.ts";
import type { Bound, Provider } from "./descriptor.ts";

export interface BindRefusal {
  readonly code: "part_missing" | "part_unknown" | "part_invalid" | "url_refused";
  /** The part, or the field of the descriptor. */
  readonly at: string;
  readonly message: string;
}

/** Fields with URLs or hosts, as JSON Pointers' first segments. Everything else is taken over as it is. */
const URL_FIELDS = ["authorizeUrl", "tokenUrl", "refreshUrl"] as const;

/**
 * The provider with `parts` filled in. Parts with a default may be left out, unknown ones are refused. All URLs are https URLs
 * of public hosts afterwards, whatever the patterns let through.
 */
export function bindProvider<P extends Provider>(
  provider: P,
  parts: Readonly<Record<string, string>> = {},
): Result<Bound<P>, BindRefusal> {
  const known = provider.parts ?? {};
  const stray = Object.keys(parts).find((name) => !Object.hasOwn(known, name));
  if (stray !== undefined)
    return refuse("part_unknown", stray, `${provider.displayName} has no part "${stray.slice(0, 64)}".`);
  const bound: Record<string, string> = {};
  for (const [name, part] of Object.entries(known)) {
    const value = Object.hasOwn(parts, name) ? parts[name] : part.default;
    if (value === undefined)
      return refuse(
        "part_missing",
        name,
        `${provider.displayName} needs "${name}", for example ${part.example}.`,
      );
    if (!new RegExp(part.pattern).test(value))
      return refuse("part_invalid", name, `"${name}" must look like ${part.example}.`);
    bound[name] = value;
  }
  const filled = fill(provider, bound);
  const refused = checkUrls(filled);
  return refused === undefined ? ok({ ...filled, bound }) : { ok: false, error: refused };
}

/** Every text of the descriptor with `{part}` replaced. Only known names are, so `{client_id}` and `{token}` stay. */
function fill<T>(value: T, bound: Readonly<Record<string, string>>): T {
  if (Object.keys(bound).length === 0) return value;
  const text = JSON.stringify(value, (key, inner: unknown) =>
    key === "parts" || typeof inner !== "string"
      ? inner
      : inner.replace(/\{([a-z_]+)\}/g, (all, name: string) =>
          Object.hasOwn(bound, name) ? (bound[name] ?? all) : all,
        ),
  );
  return JSON.parse(text) as T;
}

function checkUrls(provider: Provider): BindRefusal | undefined {
  const urls: readonly (readonly [string, string | undefined])[] = [
    ...URL_FIELDS.map((field) => [field, urlField(provider, field)] as const),
    ["revoke/url", "revoke" in provider ? provider.revoke?.url : undefined],
    [
      "identity/url",
      "identity" in provider && provider.identity?.from === "endpoint" ? provider.identity.url : undefined,
    ],
    ["resources/url", provider.resources?.url],
  ];
  for (const [at, url] of urls) {
    if (url === undefined) continue;
    const checked = checkUrl(url, { ownHosts: [] });
    if (!checked.ok) return { code: "url_refused", at, message: checked.error.message };
  }
  const host = provider.hosts.find((name) => !isPublicName(name));
  return host === undefined
    ? undefined
    : { code: "url_refused", at: "hosts", message: `"${host.slice(0, 253)}" is not a public host name.` };
}

function urlField(provider: Provider, field: (typeof URL_FIELDS)[number]): string | undefined {
  return (provider as Partial<Record<typeof field, string>>)[field];
}

function refuse(code: BindRefusal["code"], at: string, message: string): Result<never, BindRefusal> {
  return err({ code, at, message });
}
