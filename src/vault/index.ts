/** The door of the vault: sealing what must be kept secret, and the keys that it is sealed under. */
export type { Place } from "./envelope.ts";
export { VaultError, type VaultErrorCode, type VaultFault, type VaultFaultCode } from "./faults.ts";
export { createKeyCheck, type KeyCheck, type KeyCheckDeps, type Proof } from "./key-check.ts";
export { type Keyring, loadKeyring } from "./keyring.ts";
export {
  createVaultOperations,
  type DropRefusal,
  type OperationsDeps,
  type SealedRecords,
  type Swept,
  type VaultKey,
  type VaultOperations,
} from "./operations.ts";
export { createRunKeys, runKeyRecords } from "./run-keys.ts";
export { createVault, type Derived, type Vault } from "./vault.ts";
