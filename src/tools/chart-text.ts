import type { Chart, ChartSeries, Figure } from "../events/chart.ts";
import { legible, quoted } from "../events/quoted.ts";
import { LIMITS } from "../limits.ts";

/** A chart for those who read text: what it is, and its data in so many rows as a reader takes in. */
export function chartText(figure: Figure, figures = 1): string {
  // Beside few figures each is told in full; of many, each in fewer rows.
  const rowsMax = Math.max(5, Math.min(LIMITS.chartRows, Math.floor((3 * LIMITS.chartRows) / figures)));
  if (figure.kind !== "figure") return chartLines(figure, rowsMax).join("\n");
  const rows = Math.max(3, Math.floor((rowsMax * 2) / Math.max(1, figure.charts.length)));
  const total = figure.charts_total ?? figure.charts.length;
  const head = [`${total} ${total === 1 ? "chart" : "charts"}${titled(figure.title)}`];
  return [...head, ...figure.charts.flatMap((one, at) => [`[${at + 1}]`, ...chartLines(one, rows)])].join("\n");
}

function chartLines(chart: Chart, rows: number): string[] {
  const form = [chart.orientation === "horizontal" ? "horizontal" : undefined, chart.arrangement, chart.projection];
  const name = [...form.filter((one) => one !== undefined).map(legible), chart.kind].join(" ");
  const axes = [axis("x", chart.x_label, chart.x_scale), axis("y", chart.y_label, chart.y_scale), axis("z", chart.z_label, undefined)];
  const lines = [`${name} chart${titled(chart.title)}${axes.filter((one) => one !== "").join("")}`];
  const share = Math.max(3, Math.floor(rows / Math.max(1, chart.series.length)));
  if (chart.series.every((one) => one.median !== undefined)) lines.push(...boxTable(chart.series, rows));
  else {
    const joint = jointTable(chart, rows);
    if (joint !== undefined) lines.push(...joint);
    else for (const one of chart.series) lines.push(...seriesLines(one, chart.kind, share));
  }
  if (chart.series_total !== undefined) lines.push(`${chart.series_total - chart.series.length} more series are not told.`);
  for (const note of chart.annotations ?? []) {
    lines.push(`note ${quoted(note.text)}${note.x === null ? "" : ` at ${cell(note.x)}, ${cell(note.y)}`}`);
  }
  if (chart.not_read !== undefined) lines.push(`Not read as data: ${chart.not_read.map(legible).join(", ")}.`);
  return lines;
}

function titled(title: string): string {
  return title === "" ? "" : ` ${quoted(title)}`;
}

function axis(name: string, label: string | undefined, scale: string | undefined): string {
  const known = scale === undefined || scale === "linear" ? "" : ` (${legible(scale)})`;
  return (label ?? "") === "" && known === "" ? "" : `; ${name}:${titled(label ?? "")}${known}`;
}

/** The columns of a series that go side by side. */
function columns(series: ChartSeries): [name: string, values: unknown[]][] {
  if (series.edges !== undefined && series.counts !== undefined) {
    const bins = series.counts.map((_, at) => `${cell(series.edges?.[at])} to ${cell(series.edges?.[at + 1])}`);
    return [
      ["bin", bins],
      ["count", series.counts],
    ];
  }
  if (series.labels !== undefined && series.fractions !== undefined) {
    const shares = series.fractions.map((part) => (typeof part === "number" ? `${Number((part * 100).toFixed(2))} %` : part));
    return [
      ["label", series.labels],
      ["share", shares],
      ...(isFlat(series.values) ? [["value", series.values] as [string, unknown[]]] : []),
    ];
  }
  const named = [
    "categories",
    "x",
    "values",
    "y",
    "z",
    "base",
    "low",
    "high",
    "x_low",
    "x_high",
    "y_low",
    "y_high",
    "color_values",
  ] as const;
  const found = named.map((name): [string, unknown[] | undefined] => {
    const values = series[name];
    return [name === "categories" ? "category" : name === "values" ? "value" : name, isFlat(values) ? values : undefined];
  });
  return found.filter((one): one is [string, unknown[]] => one[1] !== undefined);
}

function isFlat(values: unknown[] | undefined): values is unknown[] {
  return values !== undefined && !values.some(Array.isArray);
}

function seriesLines(series: ChartSeries, kind: string, rows: number): string[] {
  const own = series.kind === undefined || series.kind === kind ? "" : `${series.kind} `;
  const name = `${own}series${series.label === null ? "" : ` ${quoted(series.label)}`}${series.group == null ? "" : ` of ${quoted(series.group)}`}`;
  const facts: string[] = [];
  if (series.axis !== undefined) facts.push(`at ${series.axis} = ${cell(series.value)}`);
  if (series.shape !== undefined) facts.push(`shape ${series.shape.join(" × ")}`);
  if (series.extent !== undefined) facts.push(`extent ${series.extent.map(cell).join(", ")}`);
  if (series.min !== undefined) facts.push(`${cell(series.min)} to ${cell(series.max)}`);
  if (series.value_label) facts.push(`values: ${quoted(series.value_label)}`);
  if (series.levels !== undefined) facts.push(`levels ${series.levels.slice(0, rows).map(cell).join(", ")}`);
  if (series.approximate) facts.push("bins are ours");
  const table = columns(series);
  const told = Math.max(0, ...table.map(([, values]) => values.length));
  if (told > 0) facts.push(`${series.points_total ?? told} points`);
  if (told > rows) facts.push(...table.map(([column, values]) => spanOf(column, values, series)).filter((one) => one !== ""));
  return [`${name}: ${facts.join("; ")}`, ...tableLines(table, rows), ...matrixLines(series, rows)];
}

function spanOf(column: string, values: unknown[], series: ChartSeries): string {
  if (column === "y" && series.y_min !== undefined) return `y ${cell(series.y_min)} to ${cell(series.y_max)}`;
  const known = values.filter((value) => typeof value === "number");
  if (known.length > 0) return `${column} ${cell(Math.min(...known))} to ${cell(Math.max(...known))}`;
  return column === "x" ? `x ${cell(values[0])} to ${cell(values.at(-1))}` : "";
}

/** Several series over the same places: one column each. */
function jointTable(chart: Chart, rows: number): string[] | undefined {
  const tables = chart.series.map(columns);
  const [first] = tables;
  if (first === undefined || tables.length < 2 || tables.length > 8 || tables.some((table) => table.length !== 2)) return undefined;
  const places = JSON.stringify(first[0]);
  const isOther = (one: ChartSeries) => one.kind !== undefined || one.points_total !== undefined;
  if (chart.series.some(isOther) || tables.some((table) => JSON.stringify(table[0]) !== places)) return undefined;
  const named = tables.map((table, at): [string, unknown[]] => [chart.series[at]?.label ?? `series ${at + 1}`, table[1]?.[1] ?? []]);
  return tableLines([first[0] as [string, unknown[]], ...named], rows);
}

function boxTable(boxes: ChartSeries[], rows: number): string[] {
  const column = (name: "label" | "group" | "min" | "q1" | "median" | "q3" | "max" | "mean"): [string, unknown[]] => [
    name,
    boxes.map((box) => box[name] ?? null),
  ];
  const names = ["label", "group", "min", "q1", "median", "q3", "max", "mean"] as const;
  const used = names.map(column).filter(([name, values]) => name === "label" || values.some((value) => value !== null));
  const outliers = boxes.map((box) => {
    const shown = (box.outliers ?? []).slice(0, 5).map(cell).join(" ");
    const all = box.outliers_total ?? box.outliers?.length ?? 0;
    return all > 5 ? `${shown} … (${all})` : shown;
  });
  return tableLines(boxes.length === 0 ? [] : [...used, ["outliers", outliers]], rows);
}

function matrixLines(series: ChartSeries, rows: number): string[] {
  if (series.values === undefined || isFlat(series.values)) return [];
  const values = series.values as unknown[][];
  const width = Math.max(0, ...values.map((row) => row.length));
  if (values.length > rows || width > LIMITS.chartRows) return [];
  const names = series.y_categories ?? values.map((_, at) => String(at));
  const head = series.x_categories ?? Array.from({ length: width }, (_, at) => String(at));
  return tableLines([["", names], ...head.map((name, at): [string, unknown[]] => [name, values.map((row) => row[at])])], rows);
}

/** Rows evenly spread over all, the first and the last among them. */
function tableLines(table: [name: string, values: unknown[]][], rows: number): string[] {
  const length = Math.max(0, ...table.map(([, values]) => values.length));
  if (length === 0) return [];
  const shown = Math.min(length, rows);
  const places = Array.from({ length: shown }, (_, at) => (shown === 1 ? 0 : Math.round((at * (length - 1)) / (shown - 1))));
  const lines = [table.map(([name]) => cell(name)), ...places.map((at) => table.map(([, values]) => cell(values[at])))];
  const more = length > shown ? [`(${shown} of ${length} rows, evenly spread)`] : [];
  return [...lines.map((cells) => `  ${cells.join(" | ")}`), ...more];
}

function cell(value: unknown): string {
  if (typeof value === "number") return String(Number(value.toPrecision(6)));
  return value === null || value === undefined ? "" : legible(String(value).slice(0, LIMITS.chartCellCharacters));
}
