import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { providerPage } from "./provider-page.ts";

await writeFile(join(import.meta.dirname, "../../docs/providers.md"), providerPage());
