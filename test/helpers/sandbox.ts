import type { Duplex } from "node:stream";
import { createDockerEngine } from "../../src/engines/docker/index.ts";
import type { ContainerSpec, Engine } from "../../src/engines/engine.ts";
import type { ExecutionEvent } from "../../src/events/event.ts";
import { newId } from "../../src/ids.ts";
import { LIMITS } from "../../src/limits.ts";
import { createLog } from "../../src/log.ts";
import { asFlavour } from "../../src/sandboxes/image-supply.ts";
import { Sandbox } from "../../src/sandboxes/sandbox.ts";
import { contextSchema, executionStartedSchema } from "../../src/sandboxes/supervisor-schemas.ts";
import { TEST_IMAGE } from "./client.ts";
import { TEST_LABELS } from "./containers.ts";

export const log = createLog("silent");

export async function testImage(engine: Engine): Promise<string> {
  const flavour = asFlavour(TEST_IMAGE);
  return flavour === undefined ? TEST_IMAGE : await engine.images.refOf(flavour);
}

/** A real sandbox without the services above it, whose streams a test can cut. */
export interface TestSandbox extends AsyncDisposable {
  sandbox: Sandbox;
  engine: Engine;
  /** The stream that is attached now. */
  stream: () => Duplex;
  /** Called with each stream that is attached again, before anything is written to it. */
  onAttach: (stream: Duplex) => void;
  /** Makes a Python context and gives its id. */
  context: () => Promise<string>;
  /** Runs code; the events come in order, and `ended` settles with the last. */
  start: (contextId: string, code: string, timeoutSeconds?: number) => Promise<Running>;
}

export interface Running {
  executionId: string;
  events: ExecutionEvent[];
  ended: Promise<ExecutionEvent>;
  /** While true, events are taken but not acknowledged. */
  holdBack: boolean;
  text: () => string;
}

export async function startSandbox(leaseSeconds = 30, more: Partial<ContainerSpec> = {}): Promise<TestSandbox> {
  const engine = createDockerEngine({ log });
  let stream: Duplex | undefined;
  const watched: Engine = {
    ...engine,
    attach: async (containerId) => {
      stream = await engine.attach(containerId);
      box.onAttach(stream);
      return stream;
    },
  };
  const { container } = LIMITS;
  const started = await engine.create({
    name: "kernelbox-test",
    image: await testImage(engine),
    labels: TEST_LABELS,
    memoryBytes: container.memoryBytes,
    workspaceBytes: container.workspaceBytes,
    cpus: container.cpus,
    pids: container.pids,
    ...more,
  });
  stream = started.stream;
  const sandbox = new Sandbox(
    { sandboxId: newId("sbx"), containerId: started.containerId, languages: ["python"] },
    { engine: watched, log, leaseSeconds, onEnd: () => {} },
  );
  await sandbox.attach(started.stream);
  const box: TestSandbox = {
    sandbox,
    engine,
    stream: () => stream as Duplex,
    onAttach: () => {},
    context: async () => {
      const context_id = newId("ctx");
      await sandbox.request("context.create", { context_id, language: "python", cwd: "/home/user" }, contextSchema);
      return context_id;
    },
    start: async (contextId, code, timeoutSeconds = 60) => {
      const executionId = newId("exe");
      const running: Running = {
        executionId,
        events: [],
        ended: Promise.resolve() as never,
        holdBack: false,
        text: () => running.events.map((event) => (event.type === "stream" ? event.data.text : "")).join(""),
      };
      running.ended = new Promise((resolve, reject) => {
        sandbox.subscribe(executionId, {
          event: (event) => {
            running.events.push(event);
            if (!running.holdBack) sandbox.acknowledge(executionId, event.seq);
            if (event.type === "status" && event.data.state !== "running") resolve(event);
          },
          lost: (end) => reject(new Error(end.message)),
        });
      });
      running.ended.catch(() => {});
      const params = { execution_id: executionId, context_id: contextId, code, timeout_s: timeoutSeconds };
      await sandbox.request("execution.start", params, executionStartedSchema);
      return running;
    },
    [Symbol.asyncDispose]: async () => {
      sandbox.markEnded("sandbox_expired", "the test is over");
      await engine.destroy(started.containerId);
    },
  };
  return box;
}
