import { PassThrough } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { NPM, PYPI, PYPI_FILES } from "../../src/packages/index-hosts.ts";
import { startClient, type TestClient } from "../helpers/client.ts";
import {
  CACHE_VOLUME,
  docker,
  eventually,
  guardAgainstLeaks,
  isOurs,
  ourContainerInfos,
  ourNetworks,
  TEST_LABELS,
} from "../helpers/containers.ts";
import { sandboxImage } from "../helpers/docker.ts";

guardAgainstLeaks();

const ALL = ["--tools", "all"];
const PIP_HOSTS = ["--allow-host", PYPI, "--allow-host", PYPI_FILES];
const NETWORK = ["--network", "allowlist", ...PIP_HOSTS, "--allow-host", NPM];
const SLOW = 100_000;

/** What a program says that looks into the cache, in a container that no sandbox can make. */
async function inCache(code: string): Promise<string> {
  const output = new PassThrough();
  let said = "";
  output.on("data", (chunk) => {
    said += chunk;
  });
  const Entrypoint = ["/usr/bin/python3", "-I", "-c", code];
  const HostConfig = { Binds: [`${CACHE_VOLUME}:/cache:ro`], NetworkMode: "none", AutoRemove: true };
  await docker.run(await sandboxImage(), [], output, { Entrypoint, Tty: true, Labels: TEST_LABELS, HostConfig });
  return said.replaceAll("\r", "");
}

describe("without a network", () => {
  let client: TestClient;
  beforeAll(async () => {
    client = await startClient(undefined, ALL);
  });
  afterAll(async () => await client.close());

  it("what the image has is said at once", async () => {
    await client.run("1");
    const startedAt = Date.now();
    const { structured, text } = await client.call("install_packages", { packages: ["numpy>=1", "pandas", "Matplotlib"] });
    expect(structured).toMatchObject({ status: "already_installed", manager: "pip", installed: [] });
    expect(structured.already_installed.map(({ name }: { name: string }) => name)).toEqual(["numpy", "pandas", "Matplotlib"]);
    expect(text).toContain("Already there: numpy 2.");
    expect(Date.now() - startedAt).toBeLessThan(5_000);
  });

  it("pip and npm, where they are looked for first, say what gets packages", async () => {
    const { structured } = await client.run("!pip install humanize");
    expect(`${structured.stdout}${structured.stderr}`).toMatch(/^pip is not in this sandbox\. The tool install_packages /);
    const npm = await client.call("run_command", { command: "npm install left-pad" });
    expect(npm.structured).toMatchObject({ exit_code: 1, stderr: expect.stringMatching(/^npm is not in this sandbox/) });
  });

  it("what is missing is refused with the very flags", async () => {
    const { error } = await client.call("install_packages", { packages: ["numpy", "humanize"] });
    expect(error).toMatchObject({ code: "unsupported", message: expect.stringContaining("no network") });
    expect(error?.hint).toContain(`--network allowlist ${PIP_HOSTS.join(" ")}`);
    const npm = await client.call("install_packages", { packages: ["left-pad"], manager: "npm" });
    expect(npm.error).toMatchObject({
      code: "unsupported",
      hint: expect.stringContaining(`--network allowlist --allow-host ${NPM}`),
    });
    const old = await client.call("install_packages", { packages: ["numpy<1"] });
    expect(old.error?.code).toBe("unsupported");
  });

  it("nothing but a name and its versions is taken", async () => {
    const hostile = [
      "--index-url=http://x/",
      "-r /etc/passwd",
      "http://x/y.whl",
      "./x",
      "a @ http://x/y.whl",
      "a; python_version>'3'",
      "a\nb",
      "",
      "../x",
    ];
    for (const name of hostile) {
      const { error } = await client.call("install_packages", { packages: [name] });
      expect(error?.code, name).toBe("invalid_argument");
      const npm = await client.call("install_packages", { packages: [name], manager: "npm" });
      expect(npm.error?.code, name).toBe("invalid_argument");
    }
    const many = await client.call("install_packages", { packages: Array.from({ length: 51 }, (_, at) => `a${at}`) });
    expect(many.error?.code).toBe("too_large");
  });

  it("JavaScript says soon that a package is not there, and the context lives on", async () => {
    const startedAt = Date.now();
    const failed = await client.run('import leftPad from "npm:left-pad"', { language: "javascript" });
    expect(failed.structured).toMatchObject({ status: "error" });
    expect(failed.structured.error.value).toContain("install_packages");
    expect(Date.now() - startedAt).toBeLessThan(15_000);
    expect((await client.run("1 + 1", { language: "javascript" })).structured.result).toBe("2");
  });
});

it("an allowlist without the index's hosts is refused before anything is fetched", async () => {
  await using client = await startClient(undefined, [...ALL, "--network", "allowlist", "--allow-host", PYPI]);
  const { error } = await client.call("install_packages", { packages: ["humanize"] });
  expect(error).toMatchObject({ code: "unsupported", details: { missing_hosts: [PYPI_FILES] } });
  expect(error?.hint).toContain(`--allow-host ${PYPI_FILES}`);
  expect(client.stderr()).not.toContain(`"host":"${PYPI}"`);
});

describe("with an allowlist of the indexes", () => {
  let client: TestClient;
  beforeAll(async () => {
    client = await startClient(undefined, [...ALL, ...NETWORK]);
  });
  afterAll(async () => await client.close());
  const install = (packages: string[], args: Record<string, unknown> = {}, to = client) =>
    to.call("install_packages", { packages, ...args });

  it(
    "a context that runs sees a new package, and keeps its variables",
    async () => {
      const before = await client.run("kept = 41\ntry:\n    import humanize\nexcept ModuleNotFoundError as error:\n    print(error)");
      expect(before.structured.stdout).toContain("No module named 'humanize'");
      const { structured, text } = await install(["humanize==4.9.0"]);
      expect(structured).toMatchObject({ status: "installed", installed: [{ name: "humanize", version: "4.9.0" }], already_installed: [] });
      expect(text).toContain("Installed: humanize 4.9.0.");
      const after = await client.run("import humanize\nprint(humanize.intcomma(1234567), kept)");
      expect(after.structured).toMatchObject({ stdout: "1,234,567 41\n", files: [] });
      // Another context, a fork of the template, and a program.
      const { structured: context } = await client.call("create_context", {});
      expect((await client.run("import humanize", { context_id: context.context_id })).structured.status).toBe("ok");
      const program = await client.call("run_command", { command: "python -c 'import humanize; print(humanize.__version__)'" });
      expect(program.structured.stdout).toBe("4.9.0\n");
    },
    SLOW,
  );

  it(
    "an upgrade takes the older version's place",
    async () => {
      const { structured, text } = await install(["humanize>4.9"]);
      expect(structured).toMatchObject({ status: "installed", installed: [{ name: "humanize" }] });
      expect(text).toContain("restart_context");
      const listed = await client.run(
        "import os\n[n for n in os.listdir('/home/user/.local/lib/python3.13/site-packages') if n.startswith('humanize')]",
      );
      expect(listed.structured.result_json).toHaveLength(2);
      expect((await install(["humanize"])).structured).toMatchObject({
        status: "already_installed",
        already_installed: [{ name: "humanize" }],
      });
    },
    SLOW,
  );

  it(
    "commands of packages run",
    async () => {
      expect((await install(["cowsay==6.1"])).structured.status).toBe("installed");
      const { structured } = await client.call("run_command", { command: "cowsay -t moo" });
      expect(structured.stdout).toContain("moo");
    },
    SLOW,
  );

  it(
    "what cannot be had is told apart",
    async () => {
      const codes = async (packages: string[], manager = "pip") => (await install(packages, { manager })).error;
      expect(await codes(["kernelbox-no-such-package"])).toMatchObject({
        code: "not_found",
        message: expect.stringContaining("kernelbox-no-such-package"),
      });
      expect(await codes(["humanize==99"])).toMatchObject({ code: "not_found", details: { versions: expect.arrayContaining(["4.9.0"]) } });
      expect(await codes(["docopt==0.6.2"])).toMatchObject({ code: "unsupported", message: expect.stringContaining("source") });
      expect(await codes(["pywin32"])).toMatchObject({ code: "unsupported", message: expect.stringContaining("wheel") });
      expect(await codes(["flask==2.0.0", "werkzeug==1.0"])).toMatchObject({
        code: "invalid_argument",
        details: { lines: expect.any(Array) },
      });
      expect(await codes(["@kernelbox/no-such-package"], "npm")).toMatchObject({ code: "not_found" });
      expect(await codes(["left-pad@99"], "npm")).toMatchObject({ code: "not_found" });
    },
    SLOW,
  );

  it(
    "npm: a TypeScript context that runs, and failed to import it, imports it, and keeps its variables",
    async () => {
      const before = await client.run('const kept: number = 41;\ntry { await import("npm:is-odd") } catch { }\nkept', {
        language: "typescript",
      });
      expect(before.structured.result).toBe("41");
      const { structured } = await install(["left-pad@1.2.0", "is-odd"], { manager: "npm" });
      expect(structured).toMatchObject({
        status: "installed",
        installed: expect.arrayContaining([{ name: "left-pad", version: "1.2.0" }]),
      });
      const code = 'import leftPad from "npm:left-pad"; import isOdd from "npm:is-odd";\n[leftPad("a", 3), isOdd(kept)].join()';
      expect((await client.run(code, { language: "typescript" })).structured.result).toContain("  a,true");
      const again = await install(["left-pad", "is-odd@3"], { manager: "npm" });
      expect(again.structured).toMatchObject({ status: "already_installed" });
      // Another version beside it.
      expect((await install(["left-pad@^1.3"], { manager: "npm" })).structured.installed).toEqual([{ name: "left-pad", version: "1.3.0" }]);
      const newer = await client.run('(await import("npm:left-pad@1.3.0")).default("b", 2)', { language: "typescript" });
      expect(newer.structured.result).toBe('" b"');
    },
    SLOW,
  );

  it(
    "the same twice at once is one install, and others wait for their turn",
    async () => {
      const [first, second, other] = await Promise.all([install(["tabulate"]), install(["tabulate"]), install(["roman"])]);
      expect(second?.structured.installed).toEqual(first?.structured.installed);
      expect(first?.structured.status).toBe("installed");
      expect(other?.structured).toMatchObject({ status: "installed", installed: [{ name: "roman" }] });
      expect((await client.run("import tabulate, roman")).structured.status).toBe("ok");
    },
    SLOW,
  );

  it(
    "a cancel ends it, leaves nothing, and the next one works",
    async () => {
      const controller = new AbortController();
      const given = client.call("install_packages", { packages: ["xgboost"] }, { signal: controller.signal });
      setTimeout(() => controller.abort(), 2_500);
      await expect(given).rejects.toThrow();
      expect((await install(["iniconfig"])).structured.status).toBe("installed");
      const left = await client.run("import os\n[n for n in os.listdir('/home/user/.local') if n.startswith('.kernelbox')]");
      expect(left.structured.result_json).toEqual([]);
      expect((await client.run("import importlib.util\nimportlib.util.find_spec('xgboost')")).structured.result).toBeNull();
      expect(await inCache("import os\nprint(os.listdir('/cache/jobs'))")).toBe("[]\n");
    },
    SLOW,
  );

  it(
    "another sandbox of the principal's gets it from the cache, which no sandbox can reach",
    async () => {
      await using other = await startClient(undefined, [...ALL, ...NETWORK]);
      await install(["humanize==4.8.0"]);
      expect((await install(["humanize==4.8.0"], {}, other)).structured.status).toBe("installed");
      const fetched = (log: string) => log.split(`"host":"${PYPI_FILES}"`).length - 1;
      expect(fetched(client.stderr())).toBeGreaterThan(0);
      expect(fetched(other.stderr())).toBe(0);
      const found = await other.run(
        "import os\n[os.listdir('/var/cache/kernelbox'), os.access('/var/cache/kernelbox', os.W_OK), open('/proc/mounts').read().count('/var/cache')]",
      );
      expect(found.structured.result_json).toEqual([[], false, 0]);
    },
    SLOW,
  );

  it(
    "a full workspace is said, and nothing is half there",
    async () => {
      await using small = await startClient(undefined, [...ALL, ...NETWORK, "--workspace", "16"]);
      const { error } = await install(["sympy==1.13.0", "babel"], {}, small);
      expect(error).toMatchObject({ code: "limit_exceeded", message: expect.stringContaining("no room") });
      const left = await small.run("import os\n[n for _, _, files in os.walk('/home/user/.local') for n in files if n.endswith('.py')]");
      expect(left.structured.result_json).toEqual([]);
    },
    SLOW,
  );
});

it(
  "a long install goes on behind the soft deadline, and the same call waits for it",
  async () => {
    await using client = await startClient(undefined, [...ALL, ...NETWORK, "--soft-deadline", "1"]);
    await client.run("1");
    const first = await client.call("install_packages", { packages: ["httpx[http2]"] });
    expect(first.structured).toMatchObject({ status: "running", installed: [] });
    expect(first.text).toContain("same arguments");
    for (let tries = 0; ; tries++) {
      const { structured } = await client.call("install_packages", { packages: ["httpx[http2]"] });
      if (structured.status !== "running") {
        expect(["installed", "already_installed"]).toContain(structured.status);
        break;
      }
      expect(tries).toBeLessThan(60);
    }
    expect((await client.run("import httpx, h2")).structured.status).toBe("ok");
  },
  SLOW,
);

it(
  "a sandbox that ends while packages are fetched for it says that, and leaves neither fetcher nor network",
  async () => {
    await using client = await startClient(undefined, [...ALL, ...NETWORK]);
    await client.run("1");
    const installing = client.call("install_packages", { packages: ["xgboost"] });
    const running = (program: string) => async () =>
      (await ourContainerInfos()).filter(({ Command, State }) => State === "running" && Command.includes(program));
    await eventually(running("kernelbox.fetcher"), (found) => found.length === 1, 20_000);
    const [sandbox] = await running("kernelbox.supervisor")();
    await docker.getContainer(sandbox?.Id as string).kill();
    expect((await installing).error?.code).toBe("sandbox_lost");
    await eventually(ourNetworks, (left) => left.length === 0, 10_000);
    expect(await ourContainerInfos()).toEqual([]);
  },
  SLOW,
);

it("the cache is a volume that outlives its servers, and is mounted nowhere but in fetchers", async () => {
  expect((await docker.getVolume(CACHE_VOLUME).inspect()).Labels).toEqual({ "kernelbox.cache": "packages" });
  const containers = await docker.listContainers({ all: true });
  expect(containers.filter(({ Labels, Mounts }) => isOurs(Labels) && Mounts.some(({ Name }) => Name === CACHE_VOLUME))).toEqual([]);
});
