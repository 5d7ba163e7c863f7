import * as z from "zod";
import { LIMITS } from "../limits.ts";
import type { MimeValue } from "./event.ts";
import { plainText } from "./terminal-text.ts";

/** A figure as data, as our kernels attach it to a display (sandbox/kernelbox/kernels/charts.py). Like all that code shows, it can be forged. */
export const CHART_TYPE = "application/vnd.kernelbox.chart+json";

const KINDS = [
  ...["line", "scatter", "bar", "histogram", "box", "violin", "pie", "area", "errorbar", "stem"],
  ...["heatmap", "image", "contour", "reference", "mixed", "unknown"],
] as const;

const text = z
  .string()
  .max(LIMITS.chartTextCharacters)
  .transform((value) => plainText(value).toWellFormed());
const count = z.number().int().nonnegative();
const few = <T extends z.ZodType>(item: T) => z.array(item).max(LIMITS.chartNames);
const scalar = z.union([z.number(), text, z.boolean()]).nullable();
const scalars = z.array(scalar).max(LIMITS.chartPoints + 1);
const texts = z.array(text).max(LIMITS.chartPoints);

const series = z.object({
  kind: z.enum(KINDS).optional(),
  label: text.nullable(),
  group: text.nullish(),
  /** Places and values, side by side. */
  x: scalars.optional(),
  y: scalars.optional(),
  z: scalars.optional(),
  categories: texts.optional(),
  values: z.union([scalars, z.array(scalars).max(LIMITS.chartCells)]).optional(),
  base: scalars.optional(),
  low: scalars.optional(),
  high: scalars.optional(),
  x_low: scalars.optional(),
  x_high: scalars.optional(),
  y_low: scalars.optional(),
  y_high: scalars.optional(),
  color_values: scalars.optional(),
  color_label: text.nullish(),
  /** How many there are, where not all are told. */
  points_total: count.optional(),
  y_min: scalar.optional(),
  y_max: scalar.optional(),
  edges: scalars.optional(),
  counts: scalars.optional(),
  approximate: z.boolean().optional(),
  min: scalar.optional(),
  q1: scalar.optional(),
  median: scalar.optional(),
  q3: scalar.optional(),
  max: scalar.optional(),
  mean: scalar.optional(),
  outliers: scalars.optional(),
  outliers_total: count.optional(),
  labels: texts.optional(),
  fractions: scalars.optional(),
  shape: z.array(count).max(3).optional(),
  extent: z.array(z.number().nullable()).max(4).optional(),
  value_label: text.nullish(),
  x_categories: texts.optional(),
  y_categories: texts.optional(),
  levels: scalars.optional(),
  axis: z.enum(["x", "y"]).optional(),
  value: scalar.optional(),
});

const chart = z.object({
  kind: z.enum(KINDS),
  title: text,
  x_label: text.optional(),
  y_label: text.optional(),
  z_label: text.optional(),
  x_scale: text.optional(),
  y_scale: text.optional(),
  projection: text.optional(),
  orientation: z.enum(["vertical", "horizontal"]).optional(),
  arrangement: z.enum(["grouped", "stacked", "overlaid"]).optional(),
  series: z.array(series).max(LIMITS.chartSeries),
  series_total: count.optional(),
  /** Kinds of what is drawn that nothing was made of. */
  not_read: few(text).optional(),
  annotations: few(z.object({ text, x: scalar, y: scalar })).optional(),
});

const figure = z.object({
  kind: z.literal("figure"),
  title: text,
  charts: z.array(chart).max(LIMITS.chartsPerFigure),
  charts_total: count.optional(),
});

export type ChartSeries = z.infer<typeof series>;
export type Chart = z.infer<typeof chart>;
export type Figure = Chart | z.infer<typeof figure>;

const schema = z.union([figure, chart]);

/** The chart of a display; null where there is none, or what claims to be one has another form or is larger than our kernels make any. */
export function chartOf(value: MimeValue | undefined): Figure | null {
  if (value === undefined || !("json" in value)) return null;
  if (Buffer.byteLength(JSON.stringify(value.json) ?? "") > LIMITS.chartBytes) return null;
  const read = schema.safeParse(value.json);
  return read.success ? read.data : null;
}
