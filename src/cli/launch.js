// The entry of `npm start`, in plain JavaScript: an old Node cannot even read the TypeScript behind it, and says nothing
// that would help. `process.features.typescript` is "strip" where Node runs TypeScript directly.
if (process.features.typescript) {
  await import("./start.ts");
} else {
  process.stderr.write(
    `Showcaller needs Node 24; this is ${process.version}.\n` +
      "Run `npm ci`, then `npm start`: npm brings the right Node along, whatever the machine has.\n",
  );
  process.exitCode = 1;
}
