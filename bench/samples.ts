/** A row of figures: how many, and where they lie. */
export class Samples {
  readonly name: string;
  readonly unit: "ms" | "MB" | "MB/s";
  readonly values: number[];

  constructor(name: string, unit: Samples["unit"] = "ms", values: number[] = []) {
    this.name = name;
    this.unit = unit;
    this.values = [...values];
  }

  add(...values: number[]): void {
    this.values.push(...values);
  }

  /** Times some work and keeps what it took. */
  async time<T>(work: () => Promise<T>): Promise<T> {
    const begun = performance.now();
    const result = await work();
    this.add(performance.now() - begun);
    return result;
  }

  /** The value below which so much of all lies; `part` from 0 to 1. */
  at(part: number): number {
    const sorted = [...this.values].sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
  }

  get median(): number {
    return this.at(0.5);
  }

  row(): string {
    const cells = [this.at(0), this.median, this.at(0.99), this.at(1)].map((value) => value.toFixed(2).padStart(10));
    return `${this.name.padEnd(64)}${this.unit.padEnd(5)}${String(this.values.length).padStart(5)}${cells.join("")}`;
  }
}

export const HEAD = `${"".padEnd(69)}${"n".padStart(5)}${["min", "p50", "p99", "max"].map((name) => name.padStart(10)).join("")}`;

/** What was measured, what it is held against, and how far apart their medians may be. */
export interface Comparison {
  measured: Samples;
  floor: Samples;
  ratioMax?: number;
}

export interface Measure {
  title: string;
  comparisons: Comparison[];
  /** More rows, without a floor of their own. */
  others?: Samples[];
  wrong: number;
}
