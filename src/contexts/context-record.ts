import type { LossReason } from "../events/event.ts";

/** What the server knows of a context; the rest the supervisor is asked for. */
export interface ContextRecord {
  contextId: string;
  sandboxId: string;
  principal: string;
  language: string;
  isDefault: boolean;
  /** Added to the supervisor's incarnation: a default context lives on when its sandbox is replaced. */
  incarnationOffset: number;
  /** Highest incarnation that was told to a caller. */
  lastIncarnation: number;
  /** A loss that no reply has told yet: with the whole sandbox, or by an execution whose caller had left. */
  untoldLoss?: { reason: LossReason; message: string; by?: { executionId: string; incarnation: number } } | undefined;
}
