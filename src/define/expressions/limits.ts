/** Bounds of expressions. Nothing can stop one while it runs but these: no clock moves inside a turn. */

/** Characters of one expression. */
export const MAX_EXPRESSION_CHARS = 4_096;
/** Nodes of its tree: far above what a condition has, and parsed in well under a millisecond. */
export const MAX_NODES = 1_000;
/** Nesting of its tree: the parser and the evaluator recurse. */
export const MAX_NESTING = 100;
/**
 * Operations of everything that is filled in for one unit in one go. One is a node visited, an element copied, or a number
 * of characters read (`expressions/meter.ts`); all of them together take about 20 ms of CPU.
 */
export const MAX_OPERATIONS = 250_000;
/** Characters of a text on the way, and of a result as JSON: as many as one output may have bytes. */
export const MAX_RESULT_CHARS = 1_048_576;
/** Nesting of a result. */
export const MAX_RESULT_DEPTH = 256;
