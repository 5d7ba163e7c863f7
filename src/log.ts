import { type Logger, pino } from "pino";

export type Log = Logger;

/** Structured lines on stderr. On stdio, stdout belongs to JSON-RPC: nothing else may ever write there. */
export function createLog(level: string): Log {
  return pino({ name: "kernelbox", level, base: { pid: process.pid } }, pino.destination({ fd: 2, sync: true }));
}
