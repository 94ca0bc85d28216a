/**
 * What a cloud role is: where a workflow's own identity is exchanged for a credential, who may have it, and where it may go.
 * Shapes only. Nothing of a role is a secret.
 */

/** Whom the identity tokens of a step speak for. `inline`: the step came as JSON without a name of its own. */
export type Subject =
  | { readonly kind: "code" | "plan"; readonly name: string }
  | { readonly kind: "inline"; readonly name: null };

/** A host that a credential may go to, exactly. */
export interface RoleHost {
  readonly host: string;
  /** AWS only: what a signature is made for. */
  readonly service?: string;
  readonly region?: string;
}

/** https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html */
export interface AwsTarget {
  readonly provider: "aws";
  readonly roleArn: string;
  /** Of the token service that is asked: `sts.<region>.amazonaws.com`. */
  readonly region: string;
  /** Seconds, 900 to 43,200, at most what the role allows; of a chain 900 to 3,600. */
  readonly durationS: number;
  /** JSON text: what is left of the role's rights is what this allows as well. At most 2,048 characters. */
  readonly sessionPolicy?: string;
  /** At most 10. */
  readonly sessionPolicyArns?: readonly string[];
  /** Sent as session tags, which the role must allow (`sts:TagSession`). Written by whoever makes the role, never by a run. */
  readonly tags?: Readonly<Record<string, string>>;
  readonly transitiveTags?: readonly string[];
  /** A further role, assumed with the credentials of the first. */
  readonly next?: {
    readonly roleArn: string;
    readonly externalId?: string;
    readonly sessionPolicy?: string;
    readonly sessionPolicyArns?: readonly string[];
  };
}

/** Workload identity federation, with or without a service account that is impersonated. */
export interface GcpTarget {
  readonly provider: "gcp";
  /** `projects/<number>/locations/global/workloadIdentityPools/<pool>/providers/<provider>` */
  readonly workloadProvider: string;
  readonly serviceAccount?: string;
  readonly scopes: readonly string[];
  /** Of an impersonation: seconds, 600 to 43,200. */
  readonly lifetimeS: number;
}

/** A federated credential of an app registration or a managed identity. */
export interface AzureTarget {
  readonly provider: "azure";
  readonly directory: string;
  readonly clientId: string;
  /** One resource with `/.default`. */
  readonly scope: string;
}

/** RFC 8693. */
export interface TokenExchangeTarget {
  readonly provider: "token_exchange";
  readonly tokenUrl: string;
  readonly subjectTokenType: "jwt" | "id_token";
  readonly requestedAudience?: string;
  readonly resource?: string;
  readonly scopes?: readonly string[];
  /** A public client's id, where the service asks for one. */
  readonly clientId?: string;
}

/** HashiCorp Vault or OpenBao, `auth/jwt`. */
export interface VaultTarget {
  readonly provider: "vault";
  readonly host: string;
  readonly mount: string;
  readonly role: string;
  readonly namespace?: string;
}

/** The target takes the identity token itself. */
export interface JwtTarget {
  readonly provider: "jwt";
}

/** RFC 7523 at Anthropic. */
export interface AnthropicTarget {
  readonly provider: "anthropic";
  readonly organizationId: string;
  readonly federationRuleId: string;
  readonly serviceAccountId?: string;
  readonly workspaceId?: string;
}

/** RFC 8693 at OpenRouter. */
export interface OpenRouterTarget {
  readonly provider: "openrouter";
  /** The federation policy that is asked. */
  readonly federationPolicyId: string;
}

export type RoleTarget =
  | AwsTarget
  | GcpTarget
  | AzureTarget
  | TokenExchangeTarget
  | VaultTarget
  | JwtTarget
  | AnthropicTarget
  | OpenRouterTarget;
export type RoleProvider = RoleTarget["provider"];

export interface CloudRole {
  readonly tenant: string;
  readonly name: string;
  /** Another one if a role of the same name is made again: what was pinned to the old one is not given the new one. */
  readonly id: string;
  /** Raised with every change. */
  readonly version: number;
  readonly target: RoleTarget;
  /** The one audience of its identity tokens. Belongs to one role of the tenant. */
  readonly audience: string;
  /** The only workflows that may use it. */
  readonly workflows: readonly { readonly kind: "code" | "plan"; readonly name: string }[];
  /** Whether steps that came as JSON may use it as well. */
  readonly inline: boolean;
  readonly hosts: readonly RoleHost[];
  /** Each run has credentials of its own, and its id is a claim. */
  readonly perRun: boolean;
  /** Said by every identity token under `claims`, where they shadow nothing. */
  readonly claims: Readonly<Record<string, string>>;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly createdBy: string;
  readonly updatedAt: number;
}

/** What an exchange gives. In memory only. */
export type CloudCredential =
  | {
      readonly kind: "aws";
      readonly accessKeyId: string;
      readonly secretAccessKey: string;
      readonly sessionToken: string;
      readonly issuedAt: number;
      readonly expiresAt: number;
    }
  | {
      readonly kind: "bearer";
      /** In lower case: `authorization`, or another one such as `x-vault-token`. */
      readonly header: string;
      /** Before the token, with its space; may be empty. */
      readonly scheme: string;
      readonly token: string;
      /** Sent as well, unless the step has its own: `anthropic-beta`. */
      readonly defaults: Readonly<Record<string, string>>;
      readonly issuedAt: number;
      readonly expiresAt: number;
    };

/** Why there is no credential. */
export interface ExchangeRefusal {
  /**
   * - `passing`: asked again by itself, not before `retryAfterMs`.
   * - `propagating`: nobody knows the role, the key or the trust yet; right after a change that is mended by minutes.
   * - `configuration`: somebody has to change something; `hint` says what, with the exact `iss`, `sub` and `aud`.
   */
  readonly kind: "passing" | "propagating" | "configuration";
  /** The service's own, or ours. */
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly retryAfterMs?: number;
}
