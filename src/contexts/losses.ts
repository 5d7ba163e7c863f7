import { earlierSandboxLossMessage, leftLossMessage } from "../events/loss-message.ts";
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
    const { fold, context } = execution;
    const { state } = fold;
    context.lastIncarnation = Math.max(context.lastIncarnation, state.incarnation);
    if (state.variables === "lost") coversEarlier(context, state.incarnation);
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
    // Where files are gone too, that is what has to be told.
    if (context.untoldLoss !== undefined && context.untoldLoss.by === undefined) return;
    context.untoldLoss = {
      reason: state.reason,
      message: leftLossMessage({ ...fold.death, reason: state.reason }, ids.executionId, fold.hasLostVariables),
      by: { executionId: ids.executionId, incarnation: state.incarnation },
    };
  }
}

/** The reply of this execution says what its context had kept for the next one. */
export function wasTold(context: ContextRecord, executionId: string): void {
  if (context.untoldLoss?.by?.executionId === executionId) context.untoldLoss = undefined;
}

/** A reply that says that variables are lost says it of all that were lost by then. */
function coversEarlier(context: ContextRecord, incarnation: number): void {
  const { by } = context.untoldLoss ?? {};
  if (by !== undefined && by.incarnation <= incarnation) context.untoldLoss = undefined;
}
