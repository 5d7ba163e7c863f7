import { describe, expect, it } from "vitest";
import { CHART_TYPE } from "../../../src/events/chart.ts";
import type { MimeBundle, MimeValue } from "../../../src/events/event.ts";
import { htmlText } from "../../../src/events/html-text.ts";
import { preferredType, readableText } from "../../../src/events/mime-preference.ts";
import { processorMs } from "../../helpers/processor-time.ts";

const VALUES: Record<string, MimeValue> = {
  "text/plain": { text: "<IPython.core.display.Thing object>" },
  "text/html": { text: "<b>bold</b>" },
  "text/markdown": { text: "# head" },
  "text/latex": { text: "$x^2$" },
  "application/json": { json: { a: 1 } },
  "image/svg+xml": { text: "<svg/>" },
  "image/png": { bytes: Buffer.from("png") },
  "image/jpeg": { bytes: Buffer.from("jpeg") },
  "image/gif": { bytes: Buffer.from("gif") },
  "application/pdf": { bytes: Buffer.from("%PDF") },
  "application/vnd.plotly.v1+json": { json: { data: [] } },
  "application/vnd.vega.v5+json": { json: { marks: [] } },
  "application/vnd.vegalite.v5.20+json": { json: { mark: "bar" } },
  "application/geo+json": { json: { type: "Point" } },
  "application/javascript": { text: "alert(1)" },
  "application/vnd.jupyter.widget-view+json": { json: { model_id: "m" } },
  "application/x-own": { text: "own" },
  [CHART_TYPE]: { json: {} },
};
const bundle = (...types: string[]): MimeBundle => new Map(types.map((type) => [type, VALUES[type] as MimeValue]));

describe("what of an output goes to whom", () => {
  it.each([
    ["image/png", null],
    ["image/jpeg", null],
    ["image/gif", null],
    ["image/svg+xml", null],
    ["application/pdf", null],
    ["text/html", "bold"],
    ["text/markdown", "# head"],
    ["text/latex", "$x^2$"],
    ["application/json", '{"a":1}'],
    ["application/vnd.plotly.v1+json", null],
    ["application/vnd.vega.v5+json", '{"marks":[]}'],
    ["application/vnd.vegalite.v5.20+json", '{"mark":"bar"}'],
    ["application/geo+json", '{"type":"Point"}'],
    ["application/javascript", null],
    ["application/vnd.jupyter.widget-view+json", null],
    ["application/x-own", null],
  ])("%s is richer than a plain name, and reads as %j", (type, text) => {
    const mime = bundle("text/plain", CHART_TYPE, type);
    expect(preferredType(mime)).toBe(type);
    expect(readableText(mime)).toBe(text ?? "<IPython.core.display.Thing object>");
    expect(readableText(bundle(type))).toBe(text);
    expect(readableText(new Map([["text/plain", { text: "said" }], ...bundle(type)]))).toBe("said");
  });

  it("ranks them", () => {
    expect(preferredType(bundle("text/html", "image/svg+xml", "image/png"))).toBe("image/png");
    expect(preferredType(bundle("text/latex", "application/vnd.vegalite.v5.20+json"))).toBe("application/vnd.vegalite.v5.20+json");
    expect(readableText(bundle("text/html", "text/markdown"))).toBe("# head");
    expect(preferredType(bundle(CHART_TYPE, "text/plain"))).toBe("text/plain");
    expect(preferredType(bundle(CHART_TYPE))).toBe(CHART_TYPE);
  });
});

describe("HTML as text", () => {
  it("keeps tables by rows and cells, and leaves out what nobody sees", () => {
    const table = `<style>td { color: red }</style><table><thead><tr><th>&nbsp;</th><th>a</th></tr></thead>
      <tr><td>x &amp; y</td><td style="x">1&#44;5</td></tr><tr><td></td><td></td></tr></table><script>alert("<td>")</script><!-- no --><p>end`;
    expect(htmlText(table)).toBe(" | a\nx & y | 1,5\nend");
  });

  it("takes no longer for what is made to take long", () => {
    const begun = processorMs();
    for (const part of ["<", "<td></td> ", "<!--", "<script", " | ", "&#9", "<br ", "\t\n"]) htmlText(part.repeat(100_000));
    expect(processorMs() - begun).toBeLessThan(2_000);
  });
});
