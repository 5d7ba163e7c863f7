import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { startClient } from "../helpers/client.ts";
import { docker, eventually, guardAgainstLeaks, ourContainers } from "../helpers/containers.ts";

guardAgainstLeaks();

/** A door in front of the real engine that a test can shut: what is open is cut, and nothing new comes through. */
class Door implements AsyncDisposable {
  readonly path = join(tmpdir(), `kb-door-${process.pid}-${Math.random().toString(36).slice(2)}.sock`);
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #isOpen = true;

  private constructor() {
    this.#server = createServer((inside) => {
      if (!this.#isOpen) return void inside.destroy();
      const outside = connect("/var/run/docker.sock");
      for (const socket of [inside, outside]) {
        this.#sockets.add(socket);
        socket.on("error", () => {});
        socket.on("close", () => this.#sockets.delete(socket));
      }
      inside.pipe(outside).pipe(inside);
      inside.on("close", () => outside.destroy());
      outside.on("close", () => inside.destroy());
    });
  }

  static async open(): Promise<Door> {
    const door = new Door();
    await new Promise<void>((resolve) => door.#server.listen(door.path, resolve));
    return door;
  }

  shut(): void {
    this.#isOpen = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  reopen(): void {
    this.#isOpen = true;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.shut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

describe("an engine that is not there", () => {
  it("is said with the command that mends it, and found once it is", async () => {
    await using door = await Door.open();
    door.shut();
    await using client = await startClient(undefined, ["--docker-host", `unix://${door.path}`]);
    const reply = await client.run("1");
    expect(reply).toMatchObject({ isError: true, error: { code: "engine_unavailable" } });
    expect(reply.error?.hint).toBe("Start the engine there, or take the usual one: leave out --docker-host. Then try again.");
    door.reopen();
    expect((await client.run("1 + 1")).structured.result).toBe("2");
  });

  it("does not keep tools that need none from answering", async () => {
    await using client = await startClient(undefined, ["--docker-host", "unix:///does/not/exist.sock"]);
    expect((await client.call("list_contexts")).structured.contexts).toEqual([]);
    expect((await client.call("execute_code", { code: "1", typo: 1 })).error?.code).toBe("invalid_argument");
  });
});

describe("an engine that stops half-way", () => {
  it("costs no execution when it comes back: the same variables, all of the output", async () => {
    await using door = await Door.open();
    await using client = await startClient(undefined, ["--docker-host", `unix://${door.path}`]);
    await client.run("x = 41");
    const running = client.run("import time\nfor n in range(30):\n    print(n, flush=True)\n    time.sleep(0.1)\nx + 1");
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    door.cut();
    const reply = await running;
    expect(reply.structured).toMatchObject({ status: "ok", result: "42", state: { variables: "kept", incarnation: 1 } });
    expect(reply.structured.stdout).toBe(Array.from({ length: 30 }, (_, n) => `${n}\n`).join(""));
  });

  it("ends what ran, honestly, when it stays away; the sandbox ends by its lease", async () => {
    await using door = await Door.open();
    const client = await startClient(undefined, ["--docker-host", `unix://${door.path}`, "--lease", "5"]);
    await client.run("x = 41");
    const running = client.run("import time\ntime.sleep(60)");
    await new Promise((resolve) => setTimeout(resolve, 500));
    door.shut();
    expect((await running).structured).toMatchObject({ status: "died", state: { variables: "lost", reason: "sandbox_lost" } });
    expect((await client.run("x")).error).toMatchObject({ code: "engine_unavailable" });
    await eventually(ourContainers, (containers) => containers.length === 0, 30_000);
    door.reopen();
    const after = await client.run("'x' in globals()");
    expect(after.structured).toMatchObject({ result: "False", state: { variables: "lost", reason: "sandbox_lost" } });
    await client.close();
  });
});

describe("an image that cannot be used", () => {
  const odd = "kernelbox/test-protocol:0";
  afterAll(async () => {
    await docker
      .getImage(odd)
      .remove({ force: true })
      .catch(() => {});
  });

  it("of the user's that is missing is named, and not built", async () => {
    await using client = await startClient(undefined, ["--image", "kernelbox/none:such"]);
    const reply = await client.run("1");
    expect(reply.error).toMatchObject({ code: "engine_unavailable", message: expect.stringContaining("kernelbox/none:such") });
  });

  it("of another protocol is refused, and setup is not said to mend an image of the user's", async () => {
    const { pack } = await import("tar-stream");
    const context = pack();
    context.entry(
      { name: "Dockerfile" },
      "FROM scratch\nLABEL kernelbox.protocol=0 kernelbox.flavour=full kernelbox.languages=python\nCOPY Dockerfile /\n",
    );
    context.finalize();
    const build = await docker.buildImage(context as unknown as NodeJS.ReadableStream, { t: odd });
    await new Promise((resolve) => docker.modem.followProgress(build, resolve));
    await using client = await startClient(undefined, ["--image", odd]);
    const reply = await client.run("1");
    expect(reply.error).toMatchObject({
      code: "engine_unavailable",
      hint: expect.stringMatching(/^Build it anew from the Dockerfile of this version, or leave out --image\.$/),
    });
  });
});
