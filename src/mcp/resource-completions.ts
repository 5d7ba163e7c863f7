import type { Caller } from "../files/files.ts";
import type { Services } from "../tools/define-tool.ts";

type Complete = (typed: string, context?: { arguments?: Record<string, string> }) => Promise<string[]> | string[];

/** What the variables of our templates may be, as far as they are typed. Nothing is made for it: without a sandbox there is nothing to name. */
export function completions(services: Services, principal: string) {
  const caller: Caller = { principal };
  const beginning = (ids: string[]) => (typed: string) => ids.filter((id) => id.startsWith(typed));
  const sandboxIds: Complete = (typed) => beginning(services.tree.sandboxIds(principal))(typed);
  const paths: Complete = async (typed, context) => {
    const own = services.tree.sandboxIds(principal);
    const named = context?.arguments?.sandbox_id ?? (own.length === 1 ? own[0] : undefined);
    return named === undefined || !own.includes(named) ? [] : await services.tree.completions(named, typed, caller);
  };
  const executionIds: Complete = (typed) => beginning(services.sources.executionIds(principal))(typed);
  const contextIds: Complete = (typed) => beginning(services.sources.notebooks(principal).map(({ contextId }) => contextId))(typed);
  const processIds: Complete = (typed) => beginning(services.processes.ids(principal))(typed);
  const beginningOfShared: Complete = (typed) => beginning(services.identified.shared(principal).map(({ fileId }) => fileId))(typed);
  return {
    files: { sandbox_id: sandboxIds, path: paths },
    identified: { file_id: beginningOfShared },
    notebook: { context_id: contextIds },
    execution: { execution_id: executionIds },
    processStream: { process_id: processIds, stream: beginning(["stdout", "stderr"]) },
    stream: { execution_id: executionIds, stream: beginning(["stdout", "stderr"]) },
  };
}
