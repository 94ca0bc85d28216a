/** How a provider renews, read off its bound descriptor. */
import type { Renewal } from "./refresh-rules.ts";

interface Readable {
  readonly kind: string;
  readonly refresh?: { readonly kind: "none" | "static" | "rotating"; readonly reuseLeewayMs?: number };
}

export function renewalOf(provider: unknown): Renewal {
  // Only bound descriptors are kept, and these are checked before.
  const { kind, refresh } = provider as Readable;
  if (kind === "client_credentials" || kind === "jwt_bearer") return { kind: "client", reuseLeewayMs: 0 };
  return { kind: refresh?.kind ?? "none", reuseLeewayMs: refresh?.reuseLeewayMs ?? 0 };
}
