/** The object store of the invoices, and its role, as a run meets them: it takes what is signed, and keeps what was put. */
import type { UseRolePort } from "../../src/compose-acquire.ts";
import type { RoleUse } from "../../src/identity/using.ts";
import type { Egress, EgressRequest, EgressResult } from "../../src/platform/index.ts";
import { roleLease, roleReady, STORE } from "./lending.ts";
import { answered } from "./support.ts";

export class ObjectStore {
  /** What stands in it, by path. */
  readonly objects = new Map<string, unknown>();
  /** Who asked for the role. */
  readonly uses: RoleUse[] = [];
  /** The next requests are told that the credential has expired. */
  expired = 0;
  #issued = 0;

  readonly use: UseRolePort = async (use) => {
    this.uses.push(use);
    this.#issued += 1;
    return roleReady(roleLease(this.#issued));
  };

  /** Requests to the store end here, all others go on. */
  beside(egress: Egress): Egress {
    return async (request) =>
      new URL(request.url).hostname === STORE ? this.#take(request) : egress(request);
  }

  async #take(request: EgressRequest): Promise<EgressResult> {
    const { url, method, headers = {}, body, sign } = request;
    const signed = (await sign?.({ url, method, headers, body })) ?? {};
    request.onSend?.();
    if (!(signed["authorization"] ?? "").startsWith("AWS4-HMAC-SHA256 "))
      return answered(403, "<Error><Code>AccessDenied</Code></Error>");
    if (this.expired > 0) {
      this.expired -= 1;
      return answered(403, "<Error><Code>ExpiredToken</Code></Error>");
    }
    if (typeof body === "string") this.objects.set(new URL(url).pathname, JSON.parse(body));
    return answered(200, null, { etag: '"1"' });
  }
}
