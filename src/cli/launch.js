// The entry of `npm start`, `npm run setup` and `npm run deploy`, in plain JavaScript: an old Node cannot even read the
// TypeScript behind it, and says nothing that would help. `process.features.typescript` is "strip" where Node runs TypeScript
// directly. Whatever is not the name of another command is an option of the start.
const named = process.argv[2];
const command = named === "setup" || named === "deploy" ? named : "start";
if (command !== "start") process.argv.splice(2, 1);
if (!process.features.typescript) {
  process.stderr.write(
    `Showcaller needs Node 24; this is ${process.version}.\n` +
      `Run \`npm ci\`, then \`npm ${command === "start" ? "start" : `run ${command}`}\`: ` +
      "npm brings the right Node along, whatever the machine has.\n",
  );
  process.exitCode = 1;
} else if (command === "setup") {
  await import("./setup.ts");
} else if (command === "deploy") {
  await import("./deploy.ts");
} else {
  await import("./start.ts");
}
