/** Compiles only if both types are the same, also in what is optional and readonly. */
export type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2
    ? true
    : { readonly is: A; readonly not: B };

export declare function same<A, B>(equal: Equal<A, B> extends true ? "same" : Equal<A, B>): void;
