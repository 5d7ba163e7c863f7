import { dockerEngine, sandboxImage } from "../helpers/docker.ts";
import { describeEngine } from "./engine.contract.ts";

describeEngine("docker", { makeEngine: (command) => dockerEngine({ command }), image: sandboxImage });
