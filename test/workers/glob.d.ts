/** Files that the test bundler finds by a pattern. */
interface ImportMeta {
  glob<T>(pattern: string, options: { readonly eager: true; readonly import: "default" }): Record<string, T>;
}
