import { describe, expect, it } from "vitest";
import { typeOfContent, typeOfName } from "../../../src/files/media-type.ts";

describe("the media type of a file", () => {
  it.each([
    ["/home/user/a.ts", "text/x-typescript"],
    ["a.mts", "text/x-typescript"],
    ["a.cts", "text/x-typescript"],
    ["a.tsx", "text/x-typescript"],
    ["A.PY", "text/x-python"],
    ["a.go", "text/x-go"],
    ["a.R", "text/x-r"],
    ["a.rs", "text/x-rust"],
    ["a.jsonl", "application/jsonl"],
    ["dir.py/Makefile", "text/x-makefile"],
    ["a.csv", "text/csv"],
    ["a.png", "image/png"],
    ["a.constructor", "application/octet-stream"],
    ["py", "application/octet-stream"],
  ])("%s is by its name %s", (path, type) => expect(typeOfName(path)).toBe(type));

  const PNG = Buffer.from("89504e470d0a1a0a0000000d49484452", "hex");
  it.each([
    ["text of no known type", "application/octet-stream", Buffer.from("grüß"), "text/plain"],
    ["text cut within a character", "application/octet-stream", Buffer.from("grüß").subarray(0, 3), "text/plain"],
    ["bytes of no known type", "application/octet-stream", Buffer.from([0xff, 0]), "application/octet-stream"],
    ["a picture with another name", "text/plain", PNG, "image/png"],
    ["a picture in name only", "image/png", Buffer.from([1, 2, 0xff]), "application/octet-stream"],
    ["a text that is called a picture", "image/jpeg", Buffer.from("text"), "text/plain"],
    ["a table", "text/csv", Buffer.from("a,b"), "text/csv"],
  ])("%s", (_, claimed, content, type) => expect(typeOfContent(claimed, content)).toBe(type));
});
