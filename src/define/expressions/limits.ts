/** Bounds of expressions. Nothing can stop one while it runs but these: no clock moves inside a turn. */

/** Characters of one expression. */
export const MAX_EXPRESSION_CHARS = 4_096;
/** Nodes of its tree: far above what a condition has, and parsed in well under a millisecond. */
export const MAX_NODES = 1_000;
/** Nesting of its tree: the parser and the evaluator recurse. */
export const MAX_NESTING = 100;
/**
 * Operations of everything that is filled in for one unit in one go. One is a node visited, an element copied, or a number
 * of characters read (`expressions/meter.ts`), and more for what costs more. All of them together took 10 ms of CPU for plain
 * conditions, 20 to 40 ms for most attacks, and up to about 60 ms for the worst that was found (large maps that are loaded
 * and given on whole, maps that are made one by one), measured in Node on one core of a busy machine. What is read is parsed
 * before it is paid for: at most one output of 1 MiB more, 30 ms.
 */
export const MAX_OPERATIONS = 250_000;
/** Characters of a text on the way, and of a result as JSON: as many as one output may have bytes. */
export const MAX_RESULT_CHARS = 1_048_576;
/** Nesting of a result. */
export const MAX_RESULT_DEPTH = 256;
