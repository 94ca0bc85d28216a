/** How an export is answered: as a file, for nobody else. */
import { UNSHARED } from "./replies.ts";

export const NDJSON_TYPE = "application/x-ndjson";

export function ofExport(file: string): Readonly<Record<string, string>> {
  return {
    ...UNSHARED,
    "cache-control": "no-store",
    "content-type": NDJSON_TYPE,
    "content-disposition": `attachment; filename="${file}"`,
    "x-accel-buffering": "no",
  };
}
