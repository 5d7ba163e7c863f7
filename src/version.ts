import { readFileSync } from "node:fs";
import * as z from "zod";

const packageSchema = z.object({ version: z.string() });

/** From package.json, which lies one folder above both src/ and dist/. */
export const VERSION = packageSchema.parse(JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"))).version;
