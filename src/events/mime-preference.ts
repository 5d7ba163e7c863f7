import { CHART_TYPE } from "./chart.ts";
import type { MimeBundle, MimeValue } from "./event.ts";
import { htmlText } from "./html-text.ts";

/**
 * What of an output goes to whom: the richest form that hosts show is first in its resource, and a reader of text gets the first form that says
 * something. Every form is kept whole and read by its own name.
 */
interface Form {
  type: string | RegExp;
  /** How it reads as text; without it, only as what it is. */
  read?: "as it is" | "as JSON" | "as HTML";
}

/** Richest first; what is not listed comes behind what is, except for plain text. */
const FORMS: Form[] = [
  { type: "image/png" },
  { type: "image/jpeg" },
  { type: "image/gif" },
  { type: "image/webp" },
  { type: "image/svg+xml" },
  { type: "application/pdf" },
  { type: "text/html", read: "as HTML" },
  { type: "text/markdown", read: "as it is" },
  { type: /^application\/vnd\.vegalite\.v\d[\w.]*\+json$/, read: "as JSON" },
  { type: /^application\/vnd\.vega\.v\d[\w.]*\+json$/, read: "as JSON" },
  { type: "application/vnd.plotly.v1+json" },
  { type: "application/geo+json", read: "as JSON" },
  { type: "application/json", read: "as JSON" },
  { type: "text/latex", read: "as it is" },
  { type: "application/vnd.jupyter.widget-view+json" },
  { type: "application/javascript" },
  { type: "text/javascript" },
];
/** Of several forms that read as text, the first is told. */
const READING = ["text/markdown", "text/latex", "application/json"];
const PLAIN = "text/plain";
/** What Python says of an object that has no words of its own: `<IPython.core.display.HTML object>`, `<Styler at 0x7f…>`. */
const BARE_NAME = /^<[\w.]{1,200}(?: object)?(?: at 0x[0-9a-fA-F]{1,16})?>$/;

/** The richest type of a bundle, by what hosts are likely to show. */
export function preferredType(mime: MimeBundle): string {
  const types = [...mime.keys()].filter((type) => type !== CHART_TYPE);
  const listed = FORMS.map((form) => types.find((type) => isOf(form, type))).find((type) => type !== undefined);
  return listed ?? types.find((type) => type !== PLAIN) ?? types[0] ?? [...mime.keys()][0] ?? PLAIN;
}

/** An output for those who read text: its plain text, or, where that names only its class, another form that can be read. */
export function readableText(mime: MimeBundle): string | null {
  const plain = asText(mime.get(PLAIN), "as it is");
  if (plain !== null && !BARE_NAME.test(plain.trim())) return plain;
  const types = [...READING, ...[...mime.keys()].filter((type) => !READING.includes(type))];
  for (const type of types) {
    const read = FORMS.find((form) => isOf(form, type))?.read;
    const text = read === undefined ? null : asText(mime.get(type), read);
    if (text !== null && text.trim() !== "") return text;
  }
  return plain;
}

function isOf(form: Form, type: string): boolean {
  return typeof form.type === "string" ? form.type === type : form.type.test(type);
}

function asText(value: MimeValue | undefined, read: NonNullable<Form["read"]>): string | null {
  if (value === undefined) return null;
  if ("json" in value) return read === "as JSON" ? JSON.stringify(value.json) : null;
  if (!("text" in value)) return null;
  return read === "as HTML" ? htmlText(value.text) : value.text;
}
