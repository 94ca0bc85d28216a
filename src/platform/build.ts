/**
 * What kind of build this is. The constant is put in by the bundler (`[define]` of wrangler.toml), so a deployed bundle
 * cannot be turned into a development build by a variable or a secret: it would have to be built again.
 */
declare const DEVELOPMENT: boolean;

/** True only in a bundle that was built with `--define DEVELOPMENT:true`. Absent or false everywhere else. */
export const DEVELOPMENT_BUILD: boolean = typeof DEVELOPMENT !== "undefined" && DEVELOPMENT;
