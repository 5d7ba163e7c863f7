import { expect, test } from "vitest";
import { ownCommand } from "../../src/own-command.ts";

test.for([
  ["/home/me/kernelbox/dist/main.js", "node /home/me/kernelbox/dist/main.js setup"],
  ["/home/me/it's here/dist/main.js", "node '/home/me/it'\\''s here/dist/main.js' setup"],
  ["/home/me/project/node_modules/.bin/kernelbox", "npx kernelbox setup"],
  ["/home/me/.npm/_npx/0a1b/node_modules/.bin/kernelbox", "npx kernelbox setup"],
  ["/usr/local/bin/kernelbox", "kernelbox setup"],
  ["", "kernelbox setup"],
])("called as %s, it is called again as %s", ([called = "", command]) => {
  expect(ownCommand("setup", called)).toBe(command);
});
