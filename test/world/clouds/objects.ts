/**
 * What the object stores of all clouds share: objects are deeds, named `store://bucket/key`, so that what a store answers and
 * what the referee counts cannot differ.
 *
 * - O1 the same bytes once more change nothing, and are no second deed: a retry is told from a change;
 * - O2 other bytes under the same name undo the old deed before they make a new one.
 */
import { createHash } from "node:crypto";
import type { Deed } from "../deeds.ts";
import type { CloudRequest } from "./front.ts";

export interface StoredObject {
  readonly deed: Deed;
  readonly bytes: Buffer;
  readonly type: string;
  /** MD5 in hex, as S3 has it. */
  readonly etag: string;
}

/** Who stored it, as the vendor writes it. */
export type By = Readonly<Record<string, string>>;

/** The first segment of a path, and all that comes after it, decoded; null if it cannot be. */
export function placeOf(path: string): { readonly bucket: string; readonly key: string } | null {
  try {
    const [bucket = "", ...rest] = path
      .slice(1)
      .split("/")
      .map((one) => decodeURIComponent(one));
    return { bucket, key: rest.join("/") };
  } catch {
    return null;
  }
}

export function readObject(request: CloudRequest, service: string, name: string): StoredObject | null {
  const deed = request.referee.deeds({ service, kind: "object", key: name, standing: true })[0];
  if (deed === undefined) return null;
  const bytes = Buffer.from(String(deed.data["base64"]), "base64");
  return { deed, bytes, type: String(deed.data["type"]), etag: String(deed.data["etag"]) };
}

export function putObject(request: CloudRequest, service: string, name: string, by: By): StoredObject {
  const old = readObject(request, service, name);
  const { referee, seq, bytes } = request;
  if (old?.bytes.equals(bytes) === true) {
    referee.note(seq, { absorbed: true });
    return old;
  }
  referee.life.throwIfAborted();
  if (old !== null) referee.undo(seq, old.deed);
  const etag = createHash("md5").update(bytes).digest("hex");
  const data = {
    name,
    type: request.contentType === "" ? "application/octet-stream" : request.contentType,
    bytes: bytes.length,
    sha256: createHash("sha256").update(bytes).digest("hex"),
    etag,
    by,
    base64: bytes.toString("base64"),
  };
  const reference = request.reference ?? request.key;
  const made = referee.make({ service, kind: "object", reference, key: name, seq, data }, "ob");
  return { deed: made, bytes, type: data.type, etag };
}

export function deleteObject(request: CloudRequest, object: StoredObject): void {
  request.referee.life.throwIfAborted();
  request.referee.undo(request.seq, object.deed);
}

/** Names of what stands in a bucket, in order. */
export function listObjects(request: CloudRequest, service: string, begin: string): StoredObject[] {
  return request.referee
    .deeds({ service, kind: "object", standing: true })
    .flatMap(({ key }) => (key !== null && key.startsWith(begin) ? [key] : []))
    .toSorted()
    .flatMap((name) => readObject(request, service, name) ?? []);
}
