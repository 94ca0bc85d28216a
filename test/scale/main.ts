/** Prints the tables of docs/scale.md: `npm run -s scale`. */
import { tables } from "./model.ts";

console.log(tables());
