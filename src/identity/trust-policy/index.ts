/** Texts to paste for each target. */
import type { RoleTarget } from "../role.ts";
import { awsAdvice, awsTrust } from "./aws.ts";
import { azureAdvice, azureTrust } from "./azure.ts";
import { gcpAdvice, gcpTrust } from "./gcp.ts";
import { anthropicTrust, vaultTrust, verifierTrust } from "./others.ts";
import type { Trusted, TrustText } from "./trust.ts";

export type { Trusted, TrustText } from "./trust.ts";

export function trustTexts(target: RoleTarget, trusted: Trusted): readonly TrustText[] {
  switch (target.provider) {
    case "aws":
      return awsTrust(target, trusted);
    case "gcp":
      return gcpTrust(target, trusted);
    case "azure":
      return azureTrust(target, trusted);
    case "vault":
      return vaultTrust(target, trusted);
    case "anthropic":
      return anthropicTrust(target, trusted);
    case "token_exchange":
    case "jwt":
    case "openrouter":
      return verifierTrust(trusted);
  }
}

/** What the owner of the cloud will meet who pastes them. */
export function trustAdvice(target: RoleTarget, trusted: Trusted): readonly string[] {
  switch (target.provider) {
    case "aws":
      return awsAdvice(target, trusted);
    case "gcp":
      return gcpAdvice(trusted);
    case "azure":
      return azureAdvice(trusted);
    default:
      return [];
  }
}
