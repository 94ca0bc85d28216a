/** Why the vault did not do what it was asked. */

/**
 * Why a sealed text did not open.
 *
 * - `unknown_key`: the key of that name is not here: not yet, not any more, or another one stands in its place. A passing
 *   fault. The caller tries later; it never writes, and never marks anything as dead.
 * - `not_authentic`: the key is here and is the right one, but the text was not sealed by it for this place: changed, swapped,
 *   or moved. Trying again does not help.
 * - `malformed`: it is no sealed text at all, or one of a form that this build does not know.
 */
export type VaultFaultCode = "unknown_key" | "not_authentic" | "malformed";

export interface VaultFault {
  readonly code: VaultFaultCode;
  /** For the log. Holds nothing of what was sealed. */
  readonly message: string;
}

/**
 * Why nothing can be sealed at this moment. Nothing was written, and all of them pass: a database that is away comes back, an
 * isolate with an old keyring is replaced, a wrong keyring is put right by the operator.
 */
export type VaultErrorCode = "wrong_keyring" | "key_dropped" | "unavailable";

export class VaultError extends Error {
  override readonly name = "VaultError";
  /** As the platform marks what may work later: `classifyFault` reads it. */
  readonly retryable = true;
  readonly code: VaultErrorCode;

  constructor(code: VaultErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.code = code;
  }
}
