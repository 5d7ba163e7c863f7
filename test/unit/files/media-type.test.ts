import { describe, expect, it } from "vitest";
import { typeOfContent, typeOfName } from "../../../src/files/media-type.ts";
import { pictureType } from "../../../src/files/picture-type.ts";

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

  const UNKNOWN = "application/octet-stream";
  const ZIP = Buffer.from("504b0304140000000800a0a0a0a0ffffffff", "hex");
  const PNG = Buffer.from("89504e470d0a1a0a0000000d49484452", "hex");
  it.each([
    ["text of no known type", "application/octet-stream", Buffer.from("grüß"), "text/plain"],
    ["text cut within a character", "application/octet-stream", Buffer.from("grüß").subarray(0, 3), "text/plain"],
    ["bytes of no known type", "application/octet-stream", Buffer.from([0xff, 0]), "application/octet-stream"],
    ["a picture with another name", "text/plain", PNG, "image/png"],
    ["a picture in name only", "image/png", Buffer.from([1, 2, 0xff]), "application/octet-stream"],
    ["a text that is called a picture", "image/jpeg", Buffer.from("text"), "text/plain"],
    ["a table", "text/csv", Buffer.from("a,b"), "text/csv"],
    ["a text that is called a document", "application/pdf", Buffer.from("text"), "text/plain"],
    ["a drawing", "image/svg+xml", Buffer.from("<svg xmlns='http://www.w3.org/2000/svg'/>"), "image/svg+xml"],
    ["data as text", "application/json", Buffer.from("{}"), "application/json"],
    ["a document without a name for it", UNKNOWN, Buffer.from("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "latin1"), "application/pdf"],
    ["a document that is called a text", "text/plain", Buffer.from("%PDF-1.7\n1 0 obj"), "application/pdf"],
    [
      "a table in columns that is called one in lines",
      "text/csv",
      Buffer.from("PAR1\x15\x04\x15\xff", "latin1"),
      "application/vnd.apache.parquet",
    ],
    ["an archive", UNKNOWN, ZIP, "application/zip"],
    ["an archive that is called a text", "text/plain", ZIP, "application/zip"],
    ["what is made of an archive", "application/java-archive", ZIP, "application/java-archive"],
    ["bytes that begin as a bitmap does", UNKNOWN, Buffer.from("BM\xff\xfe", "latin1"), UNKNOWN],
    ["words that begin as a bitmap does", UNKNOWN, Buffer.from("BMW builds cars."), "text/plain"],
    ["a bitmap", "image/bmp", Buffer.from("BM\xff\xfe", "latin1"), "image/bmp"],
    ["bytes that are called a bitmap", "image/bmp", Buffer.from([0xff, 0xfe, 0]), UNKNOWN],
    ["text of two bytes a character", "text/csv", Buffer.from("\ufeffa,b", "utf16le"), "text/csv"],
    ["bytes of a type without a signature", "application/x-own", Buffer.from([0xff, 0xfe, 0]), "application/x-own"],
    ["nothing", UNKNOWN, Buffer.alloc(0), "text/plain"],
  ])("%s", async (_, claimed, content, type) => expect(await typeOfContent(claimed, content)).toBe(type));

  it("is no picture that hosts show, whatever begins like one", async () => {
    const picture = /^image\/(png|jpeg|gif|webp)$/;
    for (const head of [
      "\x89PNG",
      "\x89PNG\r\n\x1a\n",
      "\xff\xd8",
      "GIF89",
      "GIF",
      "RIFF\0\0\0\0WEB",
      "RIFF\0\0\0\0AVI ",
      "\xff\xd8\xffnot",
    ]) {
      for (const claimed of [UNKNOWN, "image/png", "image/x-own"]) {
        const content = Buffer.from(`${head}\xff\0`, "latin1");
        expect(picture.test(await typeOfContent(claimed, content)), head).toBe(pictureType(content) !== undefined);
      }
    }
  });
});
