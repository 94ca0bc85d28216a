/** Prints the tables of docs/scale.md: `node test/scale/main.ts`. */
import { tables } from "./model.ts";

console.log(tables());
