import { dockerEngine } from "../helpers/docker.ts";
import { AGENT_COMMAND, Agent } from "./agent.ts";

/** A server that is going to be killed: makes a container that ends by itself after a while, as a supervisor's lease does, says its id, and waits. */
const [image = "", owner = ""] = process.argv.slice(2);
const engine = dockerEngine({ command: AGENT_COMMAND });
const spec = {
  name: "kernelbox-killed",
  image,
  labels: { "kernelbox.owner": owner },
  memoryBytes: 2 ** 28,
  workspaceBytes: 2 ** 24,
  cpus: 1,
  pids: 64,
};
const { containerId, stream } = await engine.create(spec);
const agent = new Agent(stream);
await agent.line();
agent.tell("import time\ntime.sleep(2)\nos._exit(75)");
process.stdout.write(containerId);
setInterval(() => {}, 60_000);
