/**
 * Columns that a migration changes or drops on purpose, as `table.column`. Every other one holds after all migrations what it held before:
 * the build before this one still reads it.
 */
export const CHANGED_COLUMNS: Readonly<Record<string, readonly string[]>> = {};
