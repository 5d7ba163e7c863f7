import { earlierLossMessage, earlierSandboxLossMessage } from "../events/fold.ts";
import type { Sandboxes } from "../sandboxes/sandboxes.ts";
import type { ContextRecord } from "./context-record.ts";
import type { Execution } from "./execution.ts";

/** Sees to it that each loss of variables is told by a reply that somebody gets. */
export class Losses {
  readonly #sandboxes: Sandboxes;

  constructor(sandboxes: Sandboxes) {
    this.#sandboxes = sandboxes;
  }

  /** Puts a loss that nobody was told of into the reply that is about to be given. One loss a reply: what this does not say the next one will. */
  tell(execution: Execution): void {
    const { fold, context, ids } = execution;
    const { state } = fold;
    context.lastIncarnation = Math.max(context.lastIncarnation, state.incarnation);
    if (state.variables === "lost") wasTold(context, ids.executionId);
    else {
      const lost = this.#sandboxes.untoldLoss(context.principal);
      const loss = context.untoldLoss ?? (lost?.end && { reason: lost.end.reason, message: earlierSandboxLossMessage(lost.end.message) });
      if (loss !== undefined) fold.tellLoss(loss.reason, loss.message);
      context.untoldLoss = undefined;
      if (lost !== undefined) this.#sandboxes.lossWasTold(lost);
    }
    execution.told = fold.state;
  }

  /** Keeps what the reply would have said for the next one: the execution has ended, and nobody waits for it. */
  leave(execution: Execution): void {
    const { fold, context, told, ids } = execution;
    const { state } = fold;
    context.lastIncarnation = Math.max(context.lastIncarnation, state.incarnation);
    if (state.variables === "kept" || state.reason === null) return;
    if (told?.variables === "lost" && told.incarnation === state.incarnation) return;
    context.untoldLoss ??= { reason: state.reason, message: earlierLossMessage(state.reason), executionId: ids.executionId };
  }
}

/** The reply of this execution says what its context had kept for the next one. */
export function wasTold(context: ContextRecord, executionId: string): void {
  if (context.untoldLoss?.executionId === executionId) context.untoldLoss = undefined;
}
