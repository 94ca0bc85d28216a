/** Expressions: parsing, checking, evaluating, filling in. Nothing here knows of plans or steps. */

export type { Names } from "./evaluate.ts";
export { Meter, type Tally } from "./meter.ts";
export { isList, isMap, kindOf } from "./functions.ts";
export { commentIn, sizeReads } from "./hints.ts";
export { kindFaults } from "./kinds.ts";
export { accessesOf, comparisonsOf, pathOf, writtenPath, type Path } from "./paths.ts";
export {
  parseExpression,
  type Called,
  type Expression,
  type Node,
  type Root,
  type StepField,
  type SyntaxCode,
} from "./syntax.ts";
export {
  evaluateText,
  fillRequest,
  fillTemplate,
  holdsExpression,
  literal,
  splitTemplate,
  TemplateFault,
} from "./template.ts";
