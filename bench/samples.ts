/** A row of figures: how many, and where they lie. Milliseconds. */
export class Samples {
  readonly name: string;
  readonly values: number[] = [];

  constructor(name: string, values: number[] = []) {
    this.name = name;
    this.values.push(...values);
  }

  add(...values: number[]): void {
    this.values.push(...values);
  }

  /** The value below which so much of all lies; `part` from 0 to 1. */
  at(part: number): number {
    const sorted = [...this.values].sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
  }

  row(): string {
    const cells = [this.at(0), this.at(0.5), this.at(0.99), this.at(1)].map((value) => value.toFixed(2).padStart(10));
    return `${this.name.padEnd(52)}${String(this.values.length).padStart(5)}${cells.join("")}`;
  }
}

export const HEAD = `${"ms".padEnd(52)}${"n".padStart(5)}${["min", "p50", "p99", "max"].map((name) => name.padStart(10)).join("")}`;
